"""Tools around the layers: fold into weights, recalibrate statistics, convert between forms."""

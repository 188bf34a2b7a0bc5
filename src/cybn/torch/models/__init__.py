"""What works on whole models: convert, revert, report, fold, and to cybn's layers and back."""

"""ECG records: files to millivolts by lead, and their rate, length and unit."""

"""What others made, brought into the form that the stages read: labels and features."""

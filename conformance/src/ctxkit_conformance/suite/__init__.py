"""What pytest collects when the component is named on the command line."""

"""What is tried: lengths, rows and shapes, as time, memory and the candidate admit."""

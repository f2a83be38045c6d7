"""What engines share that run other makers' packages in environments of their own."""

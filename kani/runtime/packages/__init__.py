"""Shared by engines that run other makers' packages in environments of their own."""

"""A shop's back office over a real order log: ``python -m examples.orders``. See the README beside this file."""

"""Arithmetic in GF(2^8), from which the S-boxes of SNOW 3G and ZUC are made. Knows no key; not constant in time."""


def times_x(value: int, polynomial: int) -> int:
    """Multiply by x modulo `polynomial`, which is written with its bit 8."""
    double = value << 1
    return double ^ polynomial if double & 0x100 else double


def product(left: int, right: int, polynomial: int) -> int:
    """Multiply modulo `polynomial`."""
    result = 0
    while right:
        if right & 1:
            result ^= left
        left = times_x(left, polynomial)
        right >>= 1
    return result


def inverses(polynomial: int, generator: int) -> list[int]:
    """Give the inverse of every octet, 0 for 0; `generator` is an element of order 255 modulo `polynomial`."""
    powers = [1]
    for _ in range(254):
        powers.append(product(powers[-1], generator, polynomial))
    table = [0] * 256
    for exponent, value in enumerate(powers):
        table[value] = powers[-exponent % 255]
    return table

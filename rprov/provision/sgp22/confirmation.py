"""The confirmation code: what is stored of it, and what travels (SGP.22 3.0.1, 5.7.5). Nobody keeps the code itself."""

import hashlib
import hmac

from rprov.model.secret import Secret


class CodeHash(Secret):
    """SHA-256 of a confirmation code, 32 octets: as good as the code to whoever holds it."""

    @classmethod
    def of_code(cls, code: str) -> "CodeHash":
        """Hash what a person typed."""
        return cls(hashlib.sha256(code.encode()).digest())

    def for_transaction(self, transaction_id: bytes) -> bytes:
        """The hashCc of one transaction."""
        return hashlib.sha256(self.octets + transaction_id).digest()

    def fits(self, hash_cc: bytes, transaction_id: bytes) -> bool:
        """Say, in constant time, whether `hash_cc` comes from the same code."""
        return hmac.compare_digest(hash_cc, self.for_transaction(transaction_id))

"""npz files: zip archives whose facts disagree, whose bytes are shared or unowned, or that claim too much."""

from tests.checkpoints._make import Zip, deflate, npy, npy_of

ONE = npy_of(3)


def nested():
    """A member that lies inside the bytes of another, which a small file can repeat without end."""
    inner = Zip().add("b.npy", ONE)
    made = Zip().add("a.npy", inner.body)
    return made.add("b.npy", ONE, at=len(made.body) - len(inner.body)).bytes()


def behind(junk):
    """A sound archive behind other bytes, which it knows of: a file of two kinds."""
    made = Zip()
    made.body = junk
    return made.add("a.npy", ONE).bytes()


FAULTS = {
    "truncated": (
        Zip().add("a.npy", ONE).bytes()[:-1],
        "the zip's directory, which ends it, is missing; .* fetch or save it again",
    ),
    "a comment": (
        Zip().add("a.npy", ONE).bytes(comment=b"hello"),
        "something comes after the zip's directory; pack it again",
    ),
    "several disks": (Zip().add("a.npy", ONE).bytes()[:-18] + b"\1\0\1\0" + bytes(14), "spans several disks"),
    "a comment that is not there": (
        Zip().add("a.npy", ONE).bytes()[:-2] + b"\5\0",
        "something comes after the zip's directory; pack it again",
    ),
    "something before it": (behind(b"PK\3\4junk"), "8 bytes come before the first member of the zip"),
    "something after it": (
        Zip().add("a.npy", ONE).bytes() + b"x",
        "something comes after the zip's directory; pack it again",
    ),
    "a member too few": (Zip().add("a.npy", ONE).bytes(count=2), "claims 2 members and lists 1"),
    "a directory elsewhere": (Zip().add("a.npy", ONE).bytes(start=3), "directory is not where its end says"),
    "a name twice": (Zip().add("a.npy", ONE).add("a.npy", ONE).bytes(), "two members are called 'a.npy'"),
    "two arrays of one name": (Zip().add("a.npy", ONE).add("a", ONE).bytes(), "two arrays are called 'a'"),
    "one member listed twice": (
        Zip().add("a.npy", ONE).add("b.npy", ONE, at=0).bytes(),
        "'a.npy' overlaps what comes after it",
    ),
    "one member listed twice by name": (
        Zip().add("a.npy", ONE).add("a.npy", ONE, at=0).bytes(),
        "overlaps what comes after it",
    ),
    "another name inside": (Zip().add("a.npy", ONE, local={"name": b"b.npy"}).bytes(), "differ in what they claim"),
    "another size inside": (
        Zip().add("a.npy", ONE, local={"size": 9, "packed": 9}).bytes(),
        "differ in what they claim",
    ),
    "another checksum inside": (Zip().add("a.npy", ONE, local={"crc": 9}).bytes(), "differ in what they claim"),
    "another method inside": (Zip().add("a.npy", ONE, local={"method": 8}).bytes(), "differ in what they claim"),
    "a member inside another": (nested(), "'a.npy' overlaps what comes after it"),
    "a size beyond the file": (
        Zip().add("a.npy", ONE, local={"packed": 999, "size": 999}, central={"packed": 999, "size": 999}).bytes(),
        "should take 999 bytes",
    ),
    "bytes of nobody": (Zip().add("a.npy", ONE, after=b"hidden").bytes(), "6 bytes after 'a.npy' belong to no member"),
    "no header there": (Zip().add("a.npy", ONE, central={"header": 5}).bytes(), "there is no member where"),
    "encrypted": (Zip().add("a.npy", ONE, local={"flags": 1}, central={"flags": 1}).bytes(), "is encrypted"),
    "LZMA": (Zip().add("a.npy", ONE, method=14).bytes(), "packed with method 14"),
    "stored, two sizes": (
        Zip().add("a.npy", ONE, local={"size": 8}, central={"size": 8}).bytes(),
        "is stored, yet claims",
    ),
    "a damaged byte": (Zip().add("a.npy", ONE, packed=ONE[:-1] + b"\1").bytes(), "its checksum does not match"),
    "damaged deflate": (Zip().add("a.npy", ONE, method=8, packed=b"\xff" * 50).bytes(), "is damaged"),
    "deflate that ends early": (
        Zip().add("a.npy", ONE, method=8, packed=deflate(ONE)[:-3]).bytes(),
        "does not unpack to the 80 bytes",
    ),
    "deflate with a tail": (
        Zip().add("a.npy", ONE, method=8, packed=deflate(ONE) + b"tail").bytes(),
        "does not unpack",
    ),
    "deflate of more than it claims": (
        Zip().add("a.npy", ONE, method=8, packed=deflate(ONE + bytes(999))).bytes(),
        "does not unpack to the 80 bytes",
    ),
    "deflate of less than it claims": (
        Zip().add("a.npy", npy_of(30), method=8, packed=deflate(npy_of(30)[:-9])).bytes(),
        "does not unpack to the",
    ),
    "more than deflate can give": (
        Zip().add("a.npy", ONE, method=8, local={"size": 10**6}, central={"size": 10**6}).bytes(),
        "more than deflate can give",
    ),
    "no zip64 field": (
        Zip().add("a.npy", ONE, local={"size": 2**32 - 1}, central={"size": 2**32 - 1}).bytes(),
        "lacks the zip64 field",
    ),
    "a parent": (Zip().add("../a.npy", ONE).bytes(), r"'\.\./a\.npy', which is no plain relative name"),
    "an absolute path": (Zip().add("/etc/a.npy", ONE).bytes(), "no plain relative name"),
    "a backslash": (Zip().add("..\\a.npy", ONE).bytes(), "no plain relative name"),
    "a drive": (Zip().add("C:/a.npy", ONE).bytes(), "no plain relative name"),
    "a NUL": (Zip().add("a\0.npy", ONE).bytes(), r"'a\\x00\.npy', which is no plain"),
    "a name that is not UTF-8": (Zip().add(b"\xff.npy", ONE).bytes(), "name is not UTF-8"),
    "a malformed array": (Zip().add("a.npy", npy("{}")).bytes(), "'a.npy' has a malformed npy header"),
    "an array in a lying member": (Zip().add("a.npy", ONE + b"x").bytes(), "'a.npy' should take 80 bytes"),
}


def files():
    """Yield (fault, content, message)."""
    for fault, (content, message) in FAULTS.items():
        yield fault, content, message

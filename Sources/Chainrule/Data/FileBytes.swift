#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// All bytes of the file at `path`, which may be a pipe or `/dev/stdin`.
///
/// - Throws: `ChainruleError.file` where the system refuses, `.badData` for a gzip-compressed file.
func readBytes(ofFile path: String) throws(ChainruleError) -> [UInt8] {
  func refusal(_ code: Int32) -> ChainruleError {
    .file(path: path, reason: String(cString: strerror(code)))
  }
  let descriptor = open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw refusal(errno) }
  defer { close(descriptor) }

  var status = stat()
  guard fstat(descriptor, &status) == 0 else { throw refusal(errno) }

  // One byte more than the size, so that a regular file ends inside the first allocation.
  var bytes = [UInt8](repeating: 0, count: max(Int(status.st_size) + 1, 1 << 16))
  var filled = 0
  while true {
    if filled == bytes.count { bytes.append(contentsOf: repeatElement(0, count: bytes.count)) }
    let room = bytes.count - filled
    let got = bytes.withUnsafeMutableBytes { read(descriptor, $0.baseAddress! + filled, room) }
    if got == 0 { break }
    if got > 0 {
      filled += got
    } else if errno != EINTR {
      throw refusal(errno)
    }
  }
  bytes.removeLast(bytes.count - filled)

  if bytes.starts(with: [0x1F, 0x8B]) {
    throw .badData(
      file: path, line: nil, column: nil,
      reason: "the file is gzip-compressed; unpack it with gunzip first")
  }
  return bytes
}

/// A regular file that is read in pieces.
final class FileReader {
  let path: String
  /// In bytes, when the file was opened.
  let size: Int
  private let descriptor: Int32

  /// - Throws: `ChainruleError.file` where the system refuses, or `path` is not of a regular file; `.badData` for a
  ///   gzip-compressed one.
  init(_ path: String) throws(ChainruleError) {
    // A pipe without a writer would be waited for.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .file(path: path, reason: String(cString: strerror(errno))) }
    self.path = path
    self.descriptor = descriptor
    var status = stat()
    let code = fstat(descriptor, &status) == 0 ? 0 : errno
    size = Int(status.st_size)
    guard code == 0 else { throw .file(path: path, reason: String(cString: strerror(code))) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .file(path: path, reason: "not a regular file; a source is read again in every epoch")
    }
    if try bytes(at: 0, count: 2) == [0x1F, 0x8B] {
      throw .badData(
        file: path, line: nil, column: nil,
        reason: "the file is gzip-compressed; unpack it with gunzip first")
    }
  }

  deinit { close(descriptor) }

  /// The bytes from `offset` on, `count` or as many as there are within `size`.
  func bytes(at offset: Int, count: Int) throws(ChainruleError) -> [UInt8] {
    var bytes: [UInt8] = []
    try append(count, at: offset, to: &bytes)
    return bytes
  }

  /// Appends what ``bytes(at:count:)`` gives; returns how many bytes that were.
  @discardableResult
  func append(_ count: Int, at offset: Int, to bytes: inout [UInt8]) throws(ChainruleError) -> Int {
    let start = bytes.count
    let count = min(count, max(size - offset, 0))
    bytes.append(contentsOf: repeatElement(0, count: count))
    var filled = 0
    while filled < count {
      let got = bytes.withUnsafeMutableBytes {
        pread(descriptor, $0.baseAddress! + start + filled, count - filled, off_t(offset + filled))
      }
      if got == 0 { break }
      if got > 0 {
        filled += got
      } else if errno != EINTR {
        throw .file(path: path, reason: String(cString: strerror(errno)))
      }
    }
    bytes.removeLast(count - filled)
    return filled
  }
}

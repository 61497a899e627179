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

internal import CZlib

/// Decompresses deflate data, RFC 1951, alone or in the members of a gzip file, RFC 1952.
final class Inflater {
  enum Format {
    case deflate
    case gzip

    /// The base-2 logarithm of the window in zlib's convention: negative for raw deflate, 16 more for gzip.
    fileprivate var windowBits: Int32 { self == .deflate ? -MAX_WBITS : MAX_WBITS + 16 }
  }

  private let file: String?
  private let format: Format
  /// Returns the next compressed bytes; an empty array at their end.
  private let more: () throws(ChainruleError) -> [UInt8]
  /// Allocated, because zlib checks that the address never changes.
  private let stream: UnsafeMutablePointer<z_stream>
  private var input: [UInt8] = []
  private var used = 0
  /// Whether the last member has ended.
  private var hasEnded = false
  /// The number of bytes decompressed so far.
  private(set) var count = 0

  /// Returns the maximum number of bytes to decompress into memory from `packed` bytes: 1 GiB, or 100 times
  /// as many if that is more. Numbers as text shrink to between a tenth and a half. A small file that
  /// decompresses to more than the limit was probably made to exhaust memory.
  static func limit(packed: Int) -> Int { max(1 << 30, 100 * packed) }

  /// `more` returns the compressed bytes in pieces, each less than 4 GiB, and an empty array at their end.
  init(
    _ format: Format, file: String?, more: @escaping () throws(ChainruleError) -> [UInt8]
  ) throws(ChainruleError) {
    self.file = file
    self.format = format
    self.more = more
    stream = .allocate(capacity: 1)
    stream.initialize(to: z_stream())
    let code = inflateInit2_(
      stream, format.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard code == Z_OK else {
      throw .outOfMemory(message: "there is no memory to unpack \(file ?? "data") with")
    }
  }

  /// Decompresses bytes in memory; it copies 256 KiB of them at a time.
  convenience init(_ format: Format, _ bytes: ArraySlice<UInt8>, file: String?) throws(ChainruleError) {
    var rest = bytes
    try self.init(format, file: file) { () throws(ChainruleError) in
      defer { rest = rest.dropFirst(1 << 18) }
      return Array(rest.prefix(1 << 18))
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  private func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: "the compressed data are \(reason)")
  }

  /// Appends the next `limit` decompressed bytes, or as many as are left; returns their number. Memory is
  /// proportional to the decompressed bytes, not to the limit.
  ///
  /// - Throws: `ChainruleError.badData` for data that are damaged or truncated, `.outOfMemory`, and the
  ///   errors of reading them.
  @discardableResult
  func append(_ limit: Int, to bytes: inout [UInt8]) throws(ChainruleError) -> Int {
    let start = bytes.count
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 1 << 16)
    defer { buffer.deallocate() }
    while bytes.count - start < limit, !hasEnded {
      let room = min(buffer.count, limit - (bytes.count - start))
      let got = try unpack(into: UnsafeMutableBufferPointer(rebasing: buffer[..<room]))
      try bytes.makeRoom(for: got, limit: start + limit, for: "unpacking \(file ?? "compressed data")")
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: buffer[..<got]))
    }
    count += bytes.count - start
    return bytes.count - start
  }

  /// Decompresses the next `limit` bytes, or as many as are left, and discards them; returns their number. It
  /// uses 64 KiB of memory.
  ///
  /// - Throws: The errors of ``append(_:to:)``.
  @discardableResult
  func skip(_ limit: Int) throws(ChainruleError) -> Int {
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 1 << 16)
    defer { buffer.deallocate() }
    var skipped = 0
    while skipped < limit, !hasEnded {
      skipped += try unpack(
        into: UnsafeMutableBufferPointer(rebasing: buffer[..<min(buffer.count, limit - skipped)]))
    }
    count += skipped
    return skipped
  }

  /// Decompresses until `room` is full or the data end; returns the number of bytes.
  private func unpack(into room: UnsafeMutableBufferPointer<UInt8>) throws(ChainruleError) -> Int {
    stream.pointee.next_out = room.baseAddress
    stream.pointee.avail_out = UInt32(room.count)
    while stream.pointee.avail_out > 0 {
      if used == input.count {
        input = try more()
        used = 0
        if input.isEmpty { throw bad("cut short") }
      }
      let available = input.count - used
      let code = input.withUnsafeMutableBufferPointer { input in
        stream.pointee.next_in = input.baseAddress! + used
        stream.pointee.avail_in = UInt32(available)
        return inflate(stream, Z_NO_FLUSH)
      }
      used += available - Int(stream.pointee.avail_in)
      switch code {
      case Z_OK, Z_BUF_ERROR: continue
      case Z_STREAM_END:
        if try !beginsAnother() {
          hasEnded = true
          return room.count - Int(stream.pointee.avail_out)
        }
      case Z_MEM_ERROR: throw .outOfMemory(message: "there is no memory to unpack \(file ?? "data") with")
      default: throw bad("damaged" + (stream.pointee.msg.map { ": \(String(cString: $0))" } ?? ""))
      }
    }
    return room.count
  }

  /// Whether another member of a gzip file follows. Zeros may follow the last one as padding.
  private func beginsAnother() throws(ChainruleError) -> Bool {
    guard format == .gzip else { return false }
    while true {
      while used < input.count, input[used] == 0 { used += 1 }
      if used < input.count { break }
      input = try more()
      used = 0
      if input.isEmpty { return false }
    }
    guard input[used] == 0x1F else { throw bad("followed by something else") }
    inflateReset(stream)
    return true
  }
}

/// Returns the CRC-32 of zip and gzip.
func crc32(of bytes: [UInt8]) -> UInt32 {
  bytes.withUnsafeBytes { bytes in
    UInt32(truncatingIfNeeded: crc32_z(0, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
  }
}

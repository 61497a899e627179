internal import CZlib

/// Unpacks what deflate has packed, RFC 1951, alone or in the members of a gzip file, RFC 1952.
final class Inflater {
  enum Format {
    case deflate
    case gzip

    /// The base-2 logarithm of the window, as zlib wants it: negative for bare deflate, 16 more for gzip.
    fileprivate var windowBits: Int32 { self == .deflate ? -MAX_WBITS : MAX_WBITS + 16 }
  }

  private let file: String?
  private let format: Format
  /// The packed bytes that follow; none at their end.
  private let more: () throws(ChainruleError) -> [UInt8]
  /// At one address all along, which zlib checks.
  private let stream: UnsafeMutablePointer<z_stream>
  private var input: [UInt8] = []
  private var used = 0
  /// Whether the last member has ended.
  private var hasEnded = false
  /// The number of bytes unpacked so far.
  private(set) var count = 0

  /// `more` gives the packed bytes in pieces, each less than 4 GiB, and no byte at their end.
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

  /// Unpacks bytes in memory.
  convenience init(_ format: Format, _ bytes: [UInt8], file: String?) throws(ChainruleError) {
    var used = 0
    try self.init(format, file: file) { () throws(ChainruleError) in
      defer { used = min(used + 1 << 30, bytes.count) }
      return used == 0 && bytes.count <= 1 << 30
        ? bytes : Array(bytes[used..<min(used + 1 << 30, bytes.count)])
    }
  }

  deinit {
    inflateEnd(stream)
    stream.deallocate()
  }

  private func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: "the compressed data are \(reason)")
  }

  /// Appends the next `limit` unpacked bytes, or as many as there are; returns their number. Memory grows with what comes,
  /// whatever the limit.
  ///
  /// - Throws: `ChainruleError.badData` for data that are damaged or cut short, `.outOfMemory`, and what reading them does.
  @discardableResult
  func append(_ limit: Int, to bytes: inout [UInt8]) throws(ChainruleError) -> Int {
    let start = bytes.count
    while bytes.count - start < limit, !hasEnded {
      // As much again as there is, from 64 KiB to 64 MiB.
      let room = min(limit - (bytes.count - start), min(max(bytes.count, 1 << 16), 1 << 26))
      let filled = bytes.count
      bytes.append(contentsOf: repeatElement(0, count: room))
      var got = 0
      do {
        got = try bytes.withUnsafeMutableBufferPointer { bytes throws(ChainruleError) in
          try unpack(into: UnsafeMutableBufferPointer(rebasing: bytes[filled...]))
        }
      } catch {
        bytes.removeLast(room)
        throw error
      }
      bytes.removeLast(room - got)
    }
    count += bytes.count - start
    return bytes.count - start
  }

  /// Unpacks until `room` is full or the data end; returns the number of bytes.
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

  /// Whether another member of a gzip file follows. Zeros may fill up what follows the last.
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

/// The CRC-32 of zip and gzip.
func crc32(of bytes: [UInt8]) -> UInt32 {
  bytes.withUnsafeBytes { bytes in
    UInt32(truncatingIfNeeded: crc32_z(0, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
  }
}

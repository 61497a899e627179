internal import ChainrulePlatform

/// XXH64 (Y. Collet, https://github.com/Cyan4973/xxHash, doc/xxhash_spec.md) with seed 0, over bytes that
/// arrive in parts: a fast hash for accidental differences, not a signature.
struct XXH64 {
  private static let primes: (UInt64, UInt64, UInt64, UInt64, UInt64) = (
    0x9E37_79B1_85EB_CA87, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9, 0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5
  )
  private var lanes = SIMD4<UInt64>(
    Self.primes.0 &+ Self.primes.1, Self.primes.1, 0, 0 &- Self.primes.0)
  private var count: UInt64 = 0
  /// Fewer than 32 bytes, kept until the rest of their block arrives.
  private var rest: [UInt8] = []

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    count &+= UInt64(bytes.count)
    var bytes = bytes[...]
    if !rest.isEmpty {
      let missing = bytes.prefix(32 - rest.count)
      rest += missing
      bytes = bytes.dropFirst(missing.count)
      guard rest.count == 32 else { return }
      rest.withUnsafeBytes { lanes = Self.blocks($0, lanes) }
      rest.removeAll(keepingCapacity: true)
    }
    let whole = bytes.count & ~31
    lanes = Self.blocks(UnsafeRawBufferPointer(rebasing: bytes.prefix(whole)), lanes)
    rest += bytes.dropFirst(whole)
  }

  mutating func update(_ number: Int) {
    withUnsafeBytes(of: UInt64(number).littleEndian) { update($0) }
  }

  /// 16 hexadecimal digits, lower case.
  var digits: String {
    let (p1, p2, p3, p4, p5) = Self.primes
    var hash: UInt64
    if count >= 32 {
      hash = rotated(lanes[0], 1) &+ rotated(lanes[1], 7) &+ rotated(lanes[2], 12) &+ rotated(lanes[3], 18)
      for lane in 0..<4 { hash = (hash ^ Self.round(0, lanes[lane])) &* p1 &+ p4 }
    } else {
      hash = p5
    }
    hash &+= count
    rest.withUnsafeBytes { bytes in
      var at = 0
      while at + 8 <= bytes.count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
        hash = rotated(hash ^ Self.round(0, word), 27) &* p1 &+ p4
        at += 8
      }
      if at + 4 <= bytes.count {
        let word = UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
        hash = rotated(hash ^ (word &* p1), 23) &* p2 &+ p3
        at += 4
      }
      for byte in bytes[at...] { hash = rotated(hash ^ (UInt64(byte) &* p5), 11) &* p1 }
    }
    hash = (hash ^ hash >> 33) &* p2
    hash = (hash ^ hash >> 29) &* p3
    hash ^= hash >> 32
    return String(repeating: "0", count: hash.leadingZeroBitCount / 4)
      + (hash == 0 ? "" : String(hash, radix: 16))
  }

  /// Blocks of 32 bytes, 8 for each lane.
  private static func blocks(_ bytes: UnsafeRawBufferPointer, _ lanes: SIMD4<UInt64>) -> SIMD4<UInt64> {
    var (a, b, c, d) = (lanes[0], lanes[1], lanes[2], lanes[3])
    for at in stride(from: 0, to: bytes.count, by: 32) {
      func word(_ offset: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at + offset, as: UInt64.self))
      }
      a = round(a, word(0))
      b = round(b, word(8))
      c = round(c, word(16))
      d = round(d, word(24))
    }
    return SIMD4(a, b, c, d)
  }

  private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    rotated(lane &+ word &* primes.1, 31) &* primes.0
  }
}

private func rotated(_ value: UInt64, _ bits: UInt64) -> UInt64 { value << bits | value >> (64 - bits) }

extension Dataset {
  /// A hash of the data, such as "xxh64:44bc2cf5ad770999": XXH64 of the number of rows, inputs and outputs,
  /// the features, the targets and the sample weights, in order and in the machine's byte order. It does not
  /// include names.
  ///
  /// Equal data have equal fingerprints. Different data have the same fingerprint with a probability of 2⁻⁶⁴,
  /// unless somebody constructs a collision.
  public var fingerprint: String {
    var hash = XXH64()
    for size in [rows, inputs, outputs, sampleWeights == nil ? 0 : 1] { hash.update(size) }
    for values in [features, targets, sampleWeights ?? []] { values.withUnsafeBytes { hash.update($0) } }
    return "xxh64:\(hash.digits)"
  }

  /// Returns ``fingerprint``.
  public func makeFingerprint() throws(ChainruleError) -> String? { fingerprint }
}

extension BatchSource {
  /// Returns `nil`: the source does not identify its rows, and a resumed run does not compare them.
  public func makeFingerprint() throws(ChainruleError) -> String? { nil }
}

extension ShuffledSource {
  /// Returns the fingerprint of the shuffled source, with the buffer and the seed.
  public func makeFingerprint() throws(ChainruleError) -> String? {
    try base.makeFingerprint().map { "\($0), buffer \(buffer), seed \(seed)" }
  }
}

extension ArrayPair {
  func fingerprint() throws(ChainruleError) -> String {
    try ChainruleData.fingerprint(ofFiles: [features.path, targets.path])
  }
}

/// Returns the hash of the files' bytes, one file after the other. It reads them completely, which takes far
/// less time than an epoch over them.
func fingerprint(ofFiles paths: [String]) throws(ChainruleError) -> String {
  var hash = XXH64()
  for path in paths {
    try checkPath(path)
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      throw .file(path: path, reason: "cannot read: \(String(cString: strerror(errno)))")
    }
    defer { close(file) }
    var size = 0
    let reading = withUnsafeTemporaryAllocation(byteCount: 1 << 18, alignment: 16) { buffer -> Int32 in
      while true {
        let count = read(file, buffer.baseAddress, buffer.count)
        if count == 0 { return 0 }
        if count < 0, errno != EINTR { return errno }
        if count > 0 {
          hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
          size += count
        }
      }
    }
    guard reading == 0 else {
      throw .file(path: path, reason: "cannot read: \(String(cString: strerror(reading)))")
    }
    hash.update(size)
  }
  return "xxh64:\(hash.digits)"
}

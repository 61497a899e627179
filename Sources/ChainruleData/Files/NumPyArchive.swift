/// An `.npz` file in the format of `numpy.savez` and `numpy.savez_compressed`: a zip archive of `.npy` files.
///
///     let archive = try NumPyArchive(file: "mnist.npz")
///     let train = try Dataset<Float>(
///       features: archive.array("x_train"), targets: archive.array("y_train"), task: .classification)
///
/// Members may be stored or deflated, and as large as zip64 allows. A member is decompressed, and its
/// checksum compared, only when it is accessed.
public struct NumPyArchive: Sendable {
  /// The names of the arrays, in the order of the archive, without ".npy".
  public let names: [String]
  private let members: [Member]
  private let bytes: [UInt8]
  private let file: String?

  /// A member according to the central directory.
  private struct Member: Sendable {
    let method: UInt16
    let isEncrypted: Bool
    let checksum: UInt32
    let packed: Int
    let size: Int
    /// The offset of its local header.
    let start: Int
  }

  /// Reads the `.npz` file at `path`.
  ///
  /// - Throws: The errors of ``DataFile/init(_:format:)``, and `ChainruleError.badData` for a file that is
  ///   not a zip archive, or is damaged.
  public init(file path: String) throws(ChainruleError) {
    try self.init(DataFile(path, format: .npz))
  }

  /// Uses a file that has been read.
  ///
  /// - Throws: `ChainruleError.badData` as ``init(file:)`` does.
  public init(_ file: DataFile) throws(ChainruleError) {
    try self.init(bytes: file.bytes, file: file.name)
  }

  /// Reads the central directory (APPNOTE.TXT of PKWARE, 4.3.12 to 4.3.16).
  init(bytes: [UInt8], file: String? = nil) throws(ChainruleError) {
    self.bytes = bytes
    self.file = file
    let text = LittleEndian(bytes: bytes)
    func bad(_ reason: String) -> ChainruleError {
      .badData(file: file, line: nil, column: nil, reason: reason)
    }
    guard bytes.starts(with: Array("PK".utf8)) else {
      throw bad("this is not an .npz archive, which begins with PK")
    }
    // The end record of the directory has 22 bytes and a comment of at most 65535.
    let ends = (max(bytes.count - 22 - 65_535, 0)..<max(bytes.count - 21, 0)).reversed()
    guard let end = ends.first(where: { text[$0, 4] == 0x0605_4B50 }) else {
      throw bad("the archive has no directory at its end; it may have been cut short")
    }
    let damaged = bad("the archive's directory is damaged")
    guard var count = text[end + 10, 2], var place = text[end + 16, 4] else { throw damaged }
    if count == 0xFFFF || place == 0xFFFF_FFFF || text[end + 12, 4] == 0xFFFF_FFFF, end >= 20,
      text[end - 20, 4] == 0x0706_4B50
    {
      guard let wide = text[end - 12, 8], text[wide, 4] == 0x0606_4B50, let wideCount = text[wide + 32, 8],
        let widePlace = text[wide + 48, 8]
      else { throw damaged }
      (count, place) = (wideCount, widePlace)
    }
    // A member needs at least 46 bytes.
    guard count <= bytes.count / 46, place <= bytes.count else { throw damaged }

    var (names, members): ([String], [Member]) = ([], [])
    for _ in 0..<count {
      guard text[place, 4] == 0x0201_4B50, let flags = text[place + 8, 2], let method = text[place + 10, 2],
        let checksum = text[place + 16, 4], var packed = text[place + 20, 4], var size = text[place + 24, 4],
        let nameLength = text[place + 28, 2], let extraLength = text[place + 30, 2],
        let commentLength = text[place + 32, 2], var start = text[place + 42, 4],
        place + 46 + nameLength + extraLength + commentLength <= bytes.count
      else { throw damaged }
      let name = String(decoding: bytes[place + 46..<place + 46 + nameLength], as: UTF8.self)
      let extra = place + 46 + nameLength
      place = extra + extraLength + commentLength
      // The extra field 1 has those of the three values that need more than 32 bits.
      if var wide = text.extraField(1, in: extra..<extra + extraLength) {
        func take(_ value: inout Int) -> Bool {
          guard value == 0xFFFF_FFFF else { return true }
          guard wide.count >= 8, let number = text[wide.lowerBound, 8] else { return false }
          value = number
          wide = wide.lowerBound + 8..<wide.upperBound
          return true
        }
        guard take(&size), take(&packed), take(&start) else { throw damaged }
      }
      if name.utf8.last == UInt8(ascii: "/") { continue }
      names.append(name)
      members.append(
        Member(
          method: UInt16(method), isEncrypted: flags & 1 == 1, checksum: UInt32(checksum), packed: packed,
          size: size, start: start))
    }
    guard !members.isEmpty else { throw bad("the archive is empty") }
    // The names of the arrays, or of all members if there is no array, for errors.
    let arrays = names.indices.filter { Self.isArray(names[$0]) }
    self.names =
      arrays.isEmpty ? names : arrays.map { String(decoding: names[$0].utf8.dropLast(4), as: UTF8.self) }
    self.members = arrays.isEmpty ? members : arrays.map { members[$0] }
  }

  private static func isArray(_ name: String) -> Bool { name.utf8.suffix(4).elementsEqual(".npy".utf8) }

  private func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: reason)
  }

  /// Returns the array with this name.
  ///
  /// - Throws: `ChainruleError.badData` for a name that is not in the archive, or twice, a member that is
  ///   damaged, encrypted or compressed by another method than deflate, and the errors of
  ///   ``NumPyArray/init(file:)``.
  public func array(_ name: String) throws(ChainruleError) -> NumPyArray {
    let places = names.indices.filter { names[$0].utf8.elementsEqual(name.utf8) }
    guard let place = places.first else {
      throw bad("there is no array \"\(name)\"; the arrays are \(enumeration(names))")
    }
    guard places.count == 1 else { throw bad("\(places.count) arrays are named \"\(name)\"") }
    let title = "array \"\(name)\"" + (file.map { " in \($0)" } ?? "")
    return try NumPyArray(bytes: contents(of: members[place], title), file: title)
  }

  /// Returns the bytes of a member; errors name it by `title`.
  private func contents(of member: Member, _ title: String) throws(ChainruleError) -> [UInt8] {
    func bad(_ reason: String) -> ChainruleError {
      .badData(file: title, line: nil, column: nil, reason: reason)
    }
    let text = LittleEndian(bytes: bytes)
    guard !member.isEncrypted else { throw bad("it is encrypted; unpack the archive first") }
    guard text[member.start, 4] == 0x0403_4B50, let nameLength = text[member.start + 26, 2],
      let extraLength = text[member.start + 28, 2],
      case let begin = member.start + 30 + nameLength + extraLength, begin <= bytes.count,
      member.packed <= bytes.count - begin
    else { throw bad("its bytes are not within the archive; the archive is damaged") }
    let packed = bytes[begin..<begin + member.packed]

    var contents: [UInt8] = []
    var found: Int
    switch member.method {
    case 0:
      try contents.makeRoom(for: packed.count, for: title)
      contents += packed
      found = contents.count
    case 8:
      let limit = Inflater.limit(packed: member.packed)
      guard member.size <= limit else {
        throw bad(
          "unpacked, the array has \(member.size) bytes; at most \(limit) are unpacked into memory, the greater of 1 GiB and "
            + "100 times its \(member.packed) compressed bytes. If it is meant to be so large, save it with numpy.savez, "
            + "which does not compress")
      }
      let inflater = try Inflater(.deflate, packed, file: title)
      try inflater.append(min(member.size, ArrayHeader.maximumNumPyLength), to: &contents)
      // At most as much as the array needs.
      let needed = (try? ArrayHeader(npy: contents, file: title))?.end ?? 0
      if needed == member.size {
        try inflater.append(needed - contents.count, to: &contents)
      } else if contents.count < member.size {
        _ = try ArrayHeader(npy: contents, file: title)
        throw bad("the archive says that it has \(member.size) bytes; its own header says \(needed)")
      }
      var rest: [UInt8] = []
      found = contents.count
      if found == member.size { found += try inflater.append(1, to: &rest) }
    default: throw bad("it is packed by the zip method \(member.method); expected 0 (stored) or 8 (deflate)")
    }
    guard found == member.size else {
      throw bad("expected \(member.size) bytes, found \(found)\(found > member.size ? " or more" : "")")
    }
    guard crc32(of: contents) == member.checksum else {
      throw bad("the checksum does not fit the bytes; the archive is damaged")
    }
    return contents
  }
}

/// Little-endian unsigned integers at byte offsets.
private struct LittleEndian {
  let bytes: [UInt8]

  /// The integer of `count` bytes at `offset`; `nil` if it is outside the bytes, or too large for `Int`.
  subscript(_ offset: Int, _ count: Int) -> Int? {
    guard offset >= 0, offset <= bytes.count - count else { return nil }
    let value = bytes[offset..<offset + count].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    return Int(exactly: value)
  }

  /// Returns the contents of the extra field `identifier`. Each field has an identifier and a length, 2 bytes
  /// each, then its contents.
  func extraField(_ identifier: Int, in range: Range<Int>) -> Range<Int>? {
    var place = range.lowerBound
    while place + 4 <= range.upperBound, let found = self[place, 2], let length = self[place + 2, 2] {
      let end = place + 4 + length
      guard end <= range.upperBound else { return nil }
      if found == identifier { return place + 4..<end }
      place = end
    }
    return nil
  }
}

extension NumPyArchive {
  /// The usual names of the features and targets of the same rows, in lower case; `numpy.savez` without names
  /// uses `arr_0` and `arr_1`.
  private static let usualNames = [
    ("x", "y"), ("x_train", "y_train"), ("train_x", "train_y"), ("arr_0", "arr_1"),
    ("inputs", "outputs"), ("inputs", "targets"), ("input", "output"), ("input", "target"),
    ("features", "targets"), ("features", "target"), ("features", "labels"), ("features", "label"),
    ("data", "target"), ("data", "targets"), ("data", "labels"), ("data", "label"),
    ("images", "labels"), ("train_images", "train_labels"), ("train_data", "train_labels"),
  ]

  /// Returns the arrays of features and of targets.
  ///
  /// Given names take precedence. Otherwise the archive must have one pair of usual names, such as x and y,
  /// x_train and y_train, inputs and outputs, images and labels, or data and target (case is ignored); or two
  /// arrays, one of which is given by name. If the archive has a single array, it is a table of both, and the
  /// targets are `nil`; they are also `nil` if `needsTargets` is false.
  ///
  /// - Throws: `ChainruleError.badData`, with the names of the arrays, if there is no possible pair or more
  ///   than one, and the errors of ``array(_:)``.
  public func arrays(
    features: String? = nil, targets: String? = nil, needsTargets: Bool = true
  ) throws(ChainruleError) -> (features: NumPyArray, targets: NumPyArray?) {
    let (x, y) = try pair(features: features, targets: targets, needsTargets: needsTargets)
    guard let y, needsTargets else { return (try array(x), nil) }
    return (try array(x), try array(y))
  }

  private func pair(
    features: String?, targets: String?, needsTargets: Bool
  ) throws(ChainruleError) -> (features: String, targets: String?) {
    func bad(_ reason: String) -> ChainruleError {
      self.bad("\(reason); the arrays are \(enumeration(names)). Name the features and the targets")
    }
    if let features, features == targets {
      throw self.bad("\"\(features)\" is named for both the features and the targets")
    }
    if let features, targets != nil || !needsTargets { return (features, targets) }
    if names.count == 1, targets == nil { return (features ?? names[0], nil) }

    func arrays(named name: String) -> [String] { names.filter { Self.lowercased($0) == name } }
    var pairs: [(features: String, targets: String)] = []
    for usual in Self.usualNames {
      for x in arrays(named: usual.0) where x == features ?? x {
        for y in arrays(named: usual.1) where y == targets ?? y { pairs.append((x, y)) }
      }
    }
    if pairs.count == 1 { return pairs[0] }
    let possible = enumeration(pairs.map { "\($0.features) and \($0.targets)" })
    // The features may be unambiguous even if the targets are not.
    if !needsTargets {
      let single = Set(
        pairs.isEmpty ? Self.usualNames.flatMap { arrays(named: $0.0) } : pairs.map(\.features))
      if let x = single.first, single.count == 1 { return (x, nil) }
    }
    guard pairs.isEmpty else { throw bad("the features and the targets may be any of \(possible)") }
    if names.count == 2, let named = features ?? targets, let other = names.first(where: { $0 != named }) {
      return features == nil ? (other, named) : (named, other)
    }
    throw bad(
      features == nil && targets == nil
        ? "no two arrays have usual names of features and targets, such as x and y"
        : "any other array may be the \(features == nil ? "features" : "targets")")
  }

  /// Returns the name with ASCII capitals in lower case. Usual names have no other capitals.
  private static func lowercased(_ name: String) -> String {
    String(
      decoding: name.utf8.map { UInt8(ascii: "A")...UInt8(ascii: "Z") ~= $0 ? $0 | 0x20 : $0 }, as: UTF8.self)
  }
}

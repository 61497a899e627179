/// An `.npz` file, as `numpy.savez` and `numpy.savez_compressed` write it: a zip archive of `.npy` files.
///
///     let archive = try NumPyArchive(file: "mnist.npz")
///     let train = try Dataset<Float>(
///       features: archive.array("x_train"), targets: archive.array("y_train"), task: .classification)
///
/// Members may be stored or deflated, and as large as zip64 allows; none is unpacked before it is asked for. The checksum of
/// one that is asked for is compared.
public struct NumPyArchive: Sendable {
  /// The names of the arrays, in the order of the archive.
  public let names: [String]
  private let members: [Member]
  private let bytes: [UInt8]
  private let file: String?

  /// One member, as the central directory has it.
  private struct Member: Sendable {
    let method: UInt16
    let isEncrypted: Bool
    let checksum: UInt32
    let packed: Int
    let size: Int
    /// Where its local header begins.
    let start: Int
  }

  /// Reads the `.npz` file at `path`.
  ///
  /// - Throws: As ``DataFile/init(_:format:)``, and `ChainruleError.badData` for a file that is no zip archive, or a damaged
  ///   one.
  public init(file path: String) throws(ChainruleError) {
    try self.init(DataFile(path, format: .npz))
  }

  /// Takes a file that has been read.
  ///
  /// - Throws: `ChainruleError.badData` as ``init(file:)``.
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
      throw bad("this is no .npz archive: one begins with PK")
    }
    // The end of the directory has 22 bytes and a comment of at most 65535.
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
    // A member takes at least 46 bytes.
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
      // The extra field 1 has those of the three that are too large for 32 bits.
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
      if name.hasSuffix("/") { continue }
      names.append(name.hasSuffix(".npy") ? String(name.dropLast(4)) : name)
      members.append(
        Member(
          method: UInt16(method), isEncrypted: flags & 1 == 1, checksum: UInt32(checksum), packed: packed,
          size: size, start: start))
    }
    guard !members.isEmpty else { throw bad("the archive is empty") }
    self.names = names
    self.members = members
  }

  private func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: reason)
  }

  /// The array with this name.
  ///
  /// - Throws: `ChainruleError.badData` for a name that is not in the archive, or twice, a member that is damaged,
  ///   encrypted or packed by another method than deflate, and as ``NumPyArray/init(file:)``.
  public func array(_ name: String) throws(ChainruleError) -> NumPyArray {
    let places = names.indices.filter { names[$0] == name }
    guard let place = places.first else {
      throw bad("there is no array \"\(name)\"; the arrays are \(enumeration(names))")
    }
    guard places.count == 1 else { throw bad("\(places.count) arrays are named \"\(name)\"") }
    let title = [file, name + ".npy"].compactMap(\.self).joined(separator: ", ")
    return try NumPyArray(bytes: contents(of: members[place], title), file: title)
  }

  /// The bytes of a member, which errors name by `title`.
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
      // Not more than the array needs.
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

/// Unsigned integers at places of bytes.
private struct LittleEndian {
  let bytes: [UInt8]

  /// The integer of `count` bytes at `offset`; nil where it is not in the bytes, or is too large for `Int`.
  subscript(_ offset: Int, _ count: Int) -> Int? {
    guard offset >= 0, offset <= bytes.count - count else { return nil }
    let value = bytes[offset..<offset + count].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
    return Int(exactly: value)
  }

  /// The contents of the field `identifier` among extra fields: its identifier and length, 2 bytes each, then as much.
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
  /// The usual names of the features and of the targets of the same rows, and of `numpy.savez` without names.
  private static let usualNames = [
    ("x", "y"), ("X", "y"), ("X", "Y"), ("x_train", "y_train"), ("X_train", "y_train"), ("inputs", "targets"),
    ("features", "targets"), ("features", "labels"), ("images", "labels"), ("data", "target"),
    ("arr_0", "arr_1"),
  ]

  /// The arrays of features and of targets: those named, or else two of usual names, or, where one of two arrays is named,
  /// the other. Of an archive with a single array there are no targets, and so where none is found and `needsTargets` is
  /// false.
  ///
  /// - Throws: `ChainruleError.badData` where it is not to be seen which they are, and as ``array(_:)``.
  public func arrays(
    features: String? = nil, targets: String? = nil, needsTargets: Bool = true
  ) throws(ChainruleError) -> (features: NumPyArray, targets: NumPyArray?) {
    func other(_ name: String) -> String? { names.count == 2 ? names.first { $0 != name } : nil }
    var (x, y) = (features, targets)
    if let usual = Self.usualNames.first(where: { pair in
      names.contains(pair.0) && names.contains(pair.1) && x ?? pair.0 == pair.0 && y ?? pair.1 == pair.1
    }) {
      (x, y) = (usual.0, usual.1)
    }
    if names.count == 1, y == nil { x = x ?? names[0] }
    x = x ?? y.flatMap(other)
    y = y ?? x.flatMap(other)
    if x == nil, !needsTargets { x = Self.usualNames.map(\.0).first(where: names.contains) }
    guard let x, y != nil || names.count == 1 || !needsTargets else {
      throw bad("any of the arrays \(enumeration(names)) may be the features and the targets; name them")
    }
    guard x != y else { throw bad("\"\(x)\" is both the features and the target") }
    guard let y, needsTargets else { return (try array(x), nil) }
    return (try array(x), try array(y))
  }
}

// MARK: - A data set from arrays

extension Dataset {
  /// A data set from an array of features, rows × inputs, and one of the targets of the same rows. The first dimension
  /// counts the rows; those that follow, if any, make the columns.
  ///
  ///     let data = try Dataset<Float>(features: NumPyArray(file: "x.npy"), targets: NumPyArray(file: "y.npy"))
  ///
  /// - Parameter task: Whether the targets are classes. ``CSVOptions/LearningTask/automatic`` decides as for a column
  ///   without a name; where classes are asked for, several columns must have a single 1 and zeros in each row, and are
  ///   the classes 0, 1, ….
  /// - Throws: `ChainruleError.badData` where the arrays do not fit one another, for a number that is NaN or infinite, and
  ///   for classes that are none.
  public init(
    features: NumPyArray, targets: NumPyArray, task: CSVOptions.LearningTask = .automatic
  ) throws(ChainruleError) {
    guard targets.dimensions[0] == features.dimensions[0] else {
      throw targets.bad(
        "there are \(targets.dimensions[0]) rows of targets for \(features.dimensions[0]) of features")
    }
    try self.init(
      features: features.values(), inputs: features.columns, targets: targets.values(),
      outputs: targets.columns, task: task, bad: targets.bad)
  }

  /// A data set from the rows of one array; `targets` are the columns to predict, counted from 1, none: the last one, and
  /// all others are features.
  ///
  /// - Throws: As ``init(features:targets:task:)``, and `ChainruleError.badData` for columns that are not there, twice, or
  ///   leave none for features.
  public init(
    table: NumPyArray, targets: [Int] = [], task: CSVOptions.LearningTask = .automatic
  ) throws(ChainruleError) {
    let columns = table.columns
    let places = targets.isEmpty ? [columns - 1] : targets.map { $0 - 1 }
    guard places.allSatisfy({ 0..<columns ~= $0 }) else {
      throw table.bad(
        "there is no column \(targets.first { !(1...columns ~= $0) } ?? 0); there are \(columns)")
    }
    let others = (0..<columns).filter { !places.contains($0) }
    guard Set(places).count == places.count, !others.isEmpty else {
      throw table.bad(
        "of \(columns) columns, the targets \(enumeration(targets.map(String.init))) leave none")
    }
    // The rounding of the targets to `Scalar` must not make two classes one.
    let all: [Double] = try table.values()
    var x: [Scalar] = []
    x.reserveCapacity(all.count / columns * others.count)
    var y: [Double] = []
    for row in stride(from: 0, to: all.count, by: columns) {
      for column in others { x.append(Scalar(all[row + column])) }
      for column in places { y.append(all[row + column]) }
    }
    try self.init(
      features: x, inputs: others.count, targets: y, outputs: places.count, task: task, bad: table.bad)
  }

  /// A data set whose targets, rows × outputs, are classes where `task` says so, or they show it. `bad` makes errors.
  init(
    features: [Scalar], inputs: Int, targets: [Double], outputs: Int, task: CSVOptions.LearningTask,
    bad: (String) -> ChainruleError
  ) throws(ChainruleError) {
    if outputs == 1, let labels = Self.classes(of: targets, task) {
      try self.init(features: features, inputs: inputs, labels: labels, bad: bad)
    } else if task == .classification {
      var labels: [String] = []
      for row in stride(from: 0, to: targets.count, by: outputs) {
        let hot = (0..<outputs).filter { targets[row + $0] != 0 }
        guard hot.count == 1, targets[row + hot[0]] == 1 else {
          throw bad(
            "classes need one target column, or \(outputs) of a single 1 and zeros; row \(row / outputs + 1) has "
              + "others")
        }
        labels.append("\(hot[0])")
      }
      try self.init(
        features: features, inputs: inputs, labels: labels, classes: (0..<outputs).map(String.init),
        bad: bad)
    } else {
      try self.init(
        features: features, targets: targets.map { Scalar($0) }, rows: targets.count / outputs,
        inputs: inputs,
        outputs: outputs)
    }
  }

  /// The classes that the numbers of one target column name; nil where they are quantities.
  private static func classes(of numbers: [Double], _ task: CSVOptions.LearningTask) -> [String]? {
    switch task {
    case .regression: nil
    case .classification: wholeNumbers(numbers) ?? numbers.map { "\($0)" }
    case .automatic: wholeNumbers(numbers).flatMap { recurring($0) ? $0 : nil }
    }
  }
}

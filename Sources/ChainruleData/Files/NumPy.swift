/// The rows of two `.npy` files in the format of `numpy.save`, read batch by batch.
///
///     let source = try NumPySource<Float>(features: "x.npy", targets: "y.npy")
///
/// The arrays are those of ``NumPyArray``; an array in Fortran order must not be compressed, and is read one
/// column at a time. The first dimension is the rows; the others, if any, form the columns. Numbers are
/// unchanged, except for rounding to `Scalar`. The files must not change while the source is in use.
public struct NumPySource<Scalar: NetworkScalar>: BatchSource {
  private let pair: ArrayPair

  /// The number of elements of a row of features.
  public var inputs: Int { pair.inputs }
  /// The number of elements of a row of targets; the number of classes for a classification.
  public var outputs: Int { pair.outputs }
  /// The number of rows.
  public var rowCount: Int? { pair.features.rows }
  /// The classes; `nil` if the targets are numbers to predict.
  public var classLabels: [String]? { pair.classLabels }

  /// Opens the files.
  ///
  /// - Parameters:
  ///   - features: The path of an array of rows × inputs.
  ///   - targets: The path of an array of rows × outputs or, with `classLabels`, of one class number per row.
  ///   - classLabels: The names of the classes 0, 1, …; `nil` if the targets are numbers to predict.
  /// - Throws: `ChainruleError.file` for a file that cannot be read; `.badData` for one that is not in the
  ///   format, or is shorter or longer than its header states, and if the two do not match; `.invalidValue`
  ///   for an empty list of classes or a repeated class. The iterator throws `.badData` for a number that is
  ///   NaN or infinite, or a class number out of range.
  public init(features: String, targets: String, classLabels: [String]? = nil) throws(ChainruleError) {
    if let classLabels {
      try Dataset<Scalar>.checkClasses(classLabels)
      guard !classLabels.isEmpty else {
        throw .invalidValue(name: "classLabels", value: "none", expected: "at least one")
      }
    }
    pair = try ArrayPair(
      features: ArrayFile(npy: features), targets: ArrayFile(npy: targets), classLabels: classLabels)
  }

  /// Returns the rows in the order of the files.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> ArrayBatches<Scalar> {
    try ArrayBatches(pair, size: size)
  }

  /// Returns the hash of the files' bytes.
  public func makeFingerprint() throws(ChainruleError) -> String? { try pair.fingerprint() }
}

/// An array of a `.npy` file, in the format of `numpy.save`.
///
/// The version is 1.0, 2.0 or 3.0. The elements are booleans, integers of 8 to 64 bits or floats of 16 to 64,
/// in either byte order, in C or Fortran order. Class labels may also be text, of NumPy's types `U` (Unicode)
/// and `S` (bytes, in UTF-8).
public struct NumPyArray: Sendable {
  /// The dimensions of the array, with the rows first: at least one dimension, each at least 1.
  public var dimensions: [Int] { header.dimensions }
  /// The number of elements of a row: the product of all dimensions but the first.
  public var columns: Int { header.columns }
  let header: ArrayHeader
  let bytes: [UInt8]
  let file: String?

  /// Reads the `.npy` file at `path`, gzip-compressed or not.
  ///
  /// - Throws: The errors of ``DataFile/init(_:format:)``, and `ChainruleError.badData` for a file that is
  ///   not in the format, has no rows of numbers, or is shorter or longer than its header states.
  public init(file path: String) throws(ChainruleError) {
    try self.init(DataFile(path, format: .npy))
  }

  /// Uses a file that has been read.
  ///
  /// - Throws: `ChainruleError.badData` as ``init(file:)`` does.
  public init(_ file: DataFile) throws(ChainruleError) {
    try self.init(bytes: file.bytes, file: file.name)
  }

  init(bytes: [UInt8], file: String? = nil) throws(ChainruleError) {
    header = try ArrayHeader(npy: bytes, file: file)
    try header.checkSize(bytes.count, file: file)
    self.bytes = bytes
    self.file = file
  }

  /// Returns all elements, row-major, rounded to `Scalar`.
  ///
  /// - Throws: `ChainruleError.badData` for text and for an element that is NaN or infinite in `Scalar`;
  ///   `.outOfMemory`.
  public func values<Scalar: NetworkScalar>(
    as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try header.values(in: bytes, file: file)
  }

  func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: reason)
  }
}

// MARK: - Labels

extension NumPyArray {
  /// Returns the elements of one column, counted from 0, as class labels: text without trailing NULs, as in
  /// NumPy; integers exactly, in decimal; booleans as 0 and 1; other numbers in the shortest decimal form
  /// that reads back as the same number.
  ///
  /// - Throws: `ChainruleError.badData` for text that is not Unicode, a number that is NaN or infinite, and
  ///   more distinct labels than the maximum number of classes; `.outOfMemory`.
  func labels(inColumn column: Int = 0) throws(ChainruleError) -> [String] {
    let (element, rows) = (header.element, header.rows)
    let start =
      header.offset + (header.isFortran ? try header.fortranPlaces(file: file)[column] : column)
      * element.size
    let step = element.size * (header.isFortran ? 1 : columns)
    /// Returns the integer in a row's element.
    func integer<Integer: FixedWidthInteger>(_ row: Int, _: Integer.Type) -> Integer {
      let value = bytes.withUnsafeBytes {
        $0.loadUnaligned(fromByteOffset: start + row * step, as: Integer.self)
      }
      return element.isBigEndian ? Integer(bigEndian: value) : Integer(littleEndian: value)
    }
    func labels<Integer: FixedWidthInteger>(_ type: Integer.Type) throws(ChainruleError) -> [String] {
      try classLabels(rows: rows, bad: bad) { row in
        integer(row, type)
      } text: { (integer, _) in
        "\(integer)"
      }
    }
    switch element.kind {
    case .bool:
      return try classLabels(rows: rows, bad: bad) {
        integer($0, UInt8.self) != 0
      } text: { (isTrue, _) in
        isTrue ? "1" : "0"
      }
    case .int8: return try labels(Int8.self)
    case .int16: return try labels(Int16.self)
    case .int32: return try labels(Int32.self)
    case .int64: return try labels(Int64.self)
    case .uint8: return try labels(UInt8.self)
    case .uint16: return try labels(UInt16.self)
    case .uint32: return try labels(UInt32.self)
    case .uint64: return try labels(UInt64.self)
    case .float16, .float32, .float64:
      let numbers: [Double] = try values()
      return try numberLabels(rows: rows, bad: bad) { numbers[$0 * columns + column] }
    case .bytes, .unicode:
      return try classLabels(rows: rows, bad: bad) { row in
        bytes[start + row * step..<start + row * step + element.size]
      } text: { (text, row) throws(ChainruleError) in
        guard let label = Self.text(text, element) else {
          throw bad(
            "the text of row \(row + 1) is not \(element.kind == .bytes ? "UTF-8" : "Unicode")"
              + (element.kind == .bytes ? "; save numpy.char.decode(arr, 'latin-1') for Latin-1" : ""))
        }
        return label
      }
    }
  }

  /// Returns the text of an element without trailing NULs; `nil` if it is not Unicode.
  private static func text(_ bytes: ArraySlice<UInt8>, _ element: ArrayElement) -> String? {
    guard element.kind == .unicode else {
      let end = bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? bytes.startIndex
      return String(validating: bytes[..<end], as: UTF8.self)
    }
    var text = String.UnicodeScalarView()
    var end = text.endIndex
    for place in stride(from: bytes.startIndex, to: bytes.endIndex, by: 4) {
      let unit = bytes[place..<place + 4].reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
      guard let scalar = Unicode.Scalar(element.isBigEndian ? unit : unit.byteSwapped) else { return nil }
      text.append(scalar)
      if scalar != "\0" { end = text.endIndex }
    }
    return String(text[..<end])
  }
}

/// Returns the label of each row; `key` returns equal keys for equal labels. Equal labels share their memory.
/// To bound this memory, the number of distinct labels is limited to the maximum number of classes.
private func classLabels<Key: Hashable>(
  rows: Int, bad: (String) -> ChainruleError, key: (Int) -> Key,
  text: (Key, Int) throws(ChainruleError) -> String
) throws(ChainruleError) -> [String] {
  var labels = try [String](roomFor: rows, for: "the labels of \(rows) rows")
  var known: [Key: String] = [:]
  var last: (key: Key, label: String)?
  for row in 0..<rows {
    let key = key(row)
    if let last, last.key == key {
      labels.append(last.label)
      continue
    }
    let label: String
    if let old = known[key] {
      label = old
    } else {
      guard known.count < Dataset<Float>.maximumClasses else {
        throw bad(
          "the targets have more than \(known.count) different values, too many for classes. For numbers to predict, use the "
            + "task regression")
      }
      label = try text(key, row)
      known[key] = label
    }
    labels.append(label)
    last = (key, label)
  }
  return labels
}

/// Returns the label of each row from its number: a whole number has no decimal point.
private func numberLabels(
  rows: Int, bad: (String) -> ChainruleError, number: (Int) -> Double
) throws(ChainruleError) -> [String] {
  try classLabels(rows: rows, bad: bad, key: number) { (number, _) in
    Int(exactly: number).map(String.init) ?? "\(number)"
  }
}

// MARK: - Headers

extension ArrayFile {
  /// Opens the `.npy` file at `path`.
  init(npy path: String) throws(ChainruleError) {
    try self.init(path, headLength: ArrayHeader.maximumNumPyLength) { head throws(ChainruleError) in
      try ArrayHeader(npy: head, file: path)
    }
  }
}

extension ArrayHeader {
  /// The first bytes of a `.npy` file.
  static let numPyMark: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// The maximum number of bytes of a dictionary.
  private static let maximumDictionary = 1 << 16
  /// The maximum number of bytes of the header of a `.npy` file.
  static let maximumNumPyLength = 12 + maximumDictionary

  /// Reads the header of a `.npy` file. `head` has the file's first ``maximumNumPyLength`` bytes, or all if
  /// there are fewer.
  ///
  ///     file   = 0x93 "NUMPY" major minor length header elements
  ///     length = of the header in bytes, little-endian: 2 bytes in format 1.0, 4 in 2.0 and 3.0
  ///     header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", spaces, a line feed
  ///
  /// The format is that of NumPy's `numpy.lib.format`.
  init(npy head: [UInt8], file: String?) throws(ChainruleError) {
    func bad(_ reason: String) -> ChainruleError {
      .badData(file: file, line: nil, column: nil, reason: reason)
    }
    guard !head.starts(with: Array("PK".utf8)) else {
      throw bad("this is an .npz archive; expected one of the .npy files in it")
    }
    guard head.starts(with: Self.numPyMark) else {
      throw bad("this is not a .npy file, which begins with the byte 0x93 and NUMPY")
    }
    guard head.count >= 8 else { throw bad("the file ends in its header: \(head.count) bytes") }
    guard 1...3 ~= head[6], head[7] == 0 else {
      throw bad("the .npy format is \(head[6]).\(head[7]); expected 1.0, 2.0 or 3.0")
    }
    let start = head[6] == 1 ? 10 : 12
    guard head.count >= start else { throw bad("the file ends in its header: \(head.count) bytes") }
    let length = head[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= Self.maximumDictionary else {
      throw bad("the .npy header is \(length) bytes long; expected at most \(Self.maximumDictionary)")
    }
    guard head.count - start >= length else {
      throw bad("the file ends in its header: \(head.count) bytes of \(start + length)")
    }
    let dictionary = Array(head[start..<start + length])
    guard dictionary.last == UInt8(ascii: "\n") else {
      throw bad("the .npy header does not end with a line feed")
    }
    var parser = NumPyHeader(bytes: dictionary, file: file)
    let (element, isFortran, dimensions) = try parser.array()
    try self.init(
      element: element, dimensions: dimensions, isFortran: isFortran, offset: start + length, file: file)
  }
}

/// The dictionary of an `.npy` header, a Python literal with three keys.
private struct NumPyHeader {
  let bytes: [UInt8]
  let file: String?
  private var index = 0

  init(bytes: [UInt8], file: String?) {
    self.bytes = bytes
    self.file = file
  }

  private func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: "the .npy header: \(reason)")
  }

  mutating func array() throws(ChainruleError) -> (ArrayElement, isFortran: Bool, dimensions: [Int]) {
    var (element, isFortran, dimensions): (ArrayElement?, Bool?, [Int]?)
    guard take("{") else { throw bad("expected a dictionary, which begins with {") }
    while !take("}") {
      guard let key = try string() else { throw bad("expected a key in quotes, or }, at byte \(index + 1)") }
      guard take(":") else { throw bad("expected : after '\(key)'") }
      let isTwice: Bool
      switch key {
      case "descr":
        isTwice = element != nil
        element = try type()
      case "fortran_order":
        isTwice = isFortran != nil
        isFortran = try boolean()
      case "shape":
        isTwice = dimensions != nil
        dimensions = try shape()
      default: throw bad("the key '\(key)' is unknown; expected 'descr', 'fortran_order' and 'shape'")
      }
      if isTwice { throw bad("the key '\(key)' is repeated") }
      if take(",") { continue }
      guard take("}") else { throw bad("expected , or } after the value of '\(key)'") }
      break
    }
    skipSpaces()
    guard index == bytes.count else { throw bad("there is text after the dictionary") }

    guard let element else { throw bad("the key 'descr' is missing") }
    guard let isFortran else { throw bad("the key 'fortran_order' is missing") }
    guard let dimensions else { throw bad("the key 'shape' is missing") }
    guard !dimensions.isEmpty else {
      throw bad("the array is a single number; expected at least 1 dimension")
    }
    guard !dimensions.contains(0) else {
      throw bad(
        "the dimensions are \(dimensions.map(String.init).joined(separator: " × ")); expected at least 1 each"
      )
    }
    return (element, isFortran, dimensions)
  }

  private mutating func skipSpaces() {
    while index < bytes.count,
      [UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\t")].contains(bytes[index])
    {
      index += 1
    }
  }

  /// Whether `text` is next, after spaces; if it is, moves after it.
  private mutating func take(_ text: String) -> Bool {
    skipSpaces()
    guard bytes[index...].starts(with: text.utf8) else { return false }
    index += text.utf8.count
    return true
  }

  /// Reads a text in single or double quotes; returns `nil` if none is next. No valid text here has a
  /// backslash.
  private mutating func string() throws(ChainruleError) -> String? {
    guard let quote = ["'", "\""].first(where: { take($0) })?.utf8.first else { return nil }
    guard let end = bytes[index...].firstIndex(of: quote) else { throw bad("a quote does not close") }
    defer { index = end + 1 }
    return String(decoding: bytes[index..<end], as: UTF8.self)
  }

  /// Reads the element type, such as '<f4': byte order, kind, and the number of bytes or, for text, of
  /// characters.
  private mutating func type() throws(ChainruleError) -> ArrayElement {
    guard let text = try string() else {
      guard take("[") else { throw bad("'descr' is not a text in quotes") }
      throw bad(
        "the elements are structures (a structured dtype); expected numbers. Save one field, arr['name'], or all as "
          + "columns, numpy.lib.recfunctions.structured_to_unstructured(arr)")
    }
    let kinds: [String: ArrayElement.Kind] = [
      "b1": .bool, "i1": .int8, "i2": .int16, "i4": .int32, "i8": .int64, "u1": .uint8, "u2": .uint16,
      "u4": .uint32, "u8": .uint64, "f2": .float16, "f4": .float32, "f8": .float64,
    ]
    let (order, type) = (text.utf8.first, String(decoding: text.utf8.dropFirst(), as: UTF8.self))
    var element: ArrayElement
    if let kind = kinds[type] {
      element = ArrayElement(kind: kind)
    } else if let letter = type.utf8.first, letter == UInt8(ascii: "U") || letter == UInt8(ascii: "S") {
      guard let length = Int(String(decoding: type.utf8.dropFirst(), as: UTF8.self)),
        1...Self.longestText ~= length
      else {
        throw bad("the element type is '\(text)'; expected a text of 1 to \(Self.longestText) characters")
      }
      element = ArrayElement(kind: letter == UInt8(ascii: "U") ? .unicode : .bytes, length: length)
    } else {
      throw bad("the element type is '\(text)'\(Self.remedy(for: type))")
    }
    // A byte has no order; NumPy writes |.
    let isByte = element.size == 1 || element.kind == .bytes
    switch order {
    case UInt8(ascii: "<"): break
    case UInt8(ascii: ">"): element.isBigEndian = true
    case UInt8(ascii: "|") where isByte: break
    default: throw bad("the byte order of '\(text)' is unknown; expected < or >\(isByte ? " or |" : "")")
    }
    return element
  }

  /// The maximum number of characters of a text element. Labels are much shorter.
  private static let longestText = 1 << 16

  /// Describes a type that is refused, and how to convert it in Python.
  private static func remedy(for type: String) -> String {
    switch type.utf8.first {
    case UInt8(ascii: "O"):
      return
        ", Python objects, which only Python reads; save arr.astype('float64') for numbers, or arr.astype('str') for "
        + "class labels"
    case UInt8(ascii: "c"):
      return
        ", complex numbers; save arr.real, or both parts as columns, numpy.stack([arr.real, arr.imag], axis=-1)"
    case UInt8(ascii: "M"):
      return ", dates; save the seconds since 1970 as numbers, arr.astype('datetime64[s]').astype('int64')"
    case UInt8(ascii: "m"):
      return ", time differences; save the seconds as numbers, arr.astype('timedelta64[s]').astype('int64')"
    case UInt8(ascii: "V"): return ", raw bytes (void); save numbers, such as arr.view('uint8')"
    case UInt8(ascii: "f"), UInt8(ascii: "g"): return ", long doubles; save arr.astype('float64')"
    default:
      return
        "; expected b1, i1 to i8, u1 to u8, f2 to f8, or U or S for class labels, after a byte order. Convert the array, "
        + "as with arr.astype('float64')"
    }
  }

  private mutating func boolean() throws(ChainruleError) -> Bool {
    if take("True") { return true }
    if take("False") { return false }
    throw bad("'fortran_order' is neither True nor False")
  }

  /// Reads a tuple of integers: (), (3,) or (3, 4).
  private mutating func shape() throws(ChainruleError) -> [Int] {
    guard take("(") else { throw bad("'shape' is not a tuple, which begins with (") }
    var dimensions: [Int] = []
    while !take(")") {
      let start = index
      while index < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[index] { index += 1 }
      guard index > start else { throw bad("'shape' has a value that is not an integer of at least 0") }
      guard let dimension = Int(String(decoding: bytes[start..<index], as: UTF8.self)) else {
        throw bad("a dimension of 'shape' is too large")
      }
      dimensions.append(dimension)
      if take(",") { continue }
      guard take(")") else { throw bad("expected , or ) after a dimension of 'shape'") }
      guard dimensions.count > 1 else {
        throw bad("'shape' is a number in parentheses; a tuple of one is (3,)")
      }
      break
    }
    return dimensions
  }
}

// MARK: - Data sets from arrays

extension Dataset {
  /// Creates a data set from an array of features, rows × inputs, and an array of the targets of the same
  /// rows. The first dimension is the rows; the others, if any, form the columns.
  ///
  ///     let data = try Dataset<Float>(features: NumPyArray(file: "x.npy"), targets: NumPyArray(file: "y.npy"))
  ///
  /// The task determines the meaning of the targets:
  /// - `automatic`: A single column is classes if it is text or boolean, or has 2 to 20 distinct whole
  ///   numbers that occur at least twice on average. Everything else is regression targets.
  /// - `classification`: The elements of a single column are the classes. Several columns must have a single
  ///   1 and zeros in each row, and are the classes 0, 1, ….
  /// - `multilabel`: Every element is 0 or 1: whether the row has the label of the column.
  /// - `regression`: The targets are numbers to predict, even if they are 0 and 1.
  ///
  /// - Parameters:
  ///   - features: x, rows × inputs.
  ///   - targets: y of the same rows.
  ///   - task: The kind of the targets.
  /// - Throws: `ChainruleError.badData` if the arrays have different numbers of rows, for a number that is
  ///   NaN or infinite, and for targets that `task` does not allow, with their row; `.outOfMemory`.
  public init(
    features: NumPyArray, targets: NumPyArray, task: CSVOptions.LearningTask = .automatic
  ) throws(ChainruleError) {
    guard targets.dimensions[0] == features.dimensions[0] else {
      throw targets.bad(
        "there are \(targets.dimensions[0]) rows of targets for \(features.dimensions[0]) of features")
    }
    let element = targets.header.element
    if task == .automatic || task == .classification,
      element.isText || (element.kind == .bool && targets.columns == 1)
    {
      guard targets.columns == 1 else {
        throw targets.bad("the targets are \(targets.columns) columns of text; expected 1 of class labels")
      }
      try self.init(
        features: features.values(), inputs: features.columns, labels: targets.labels(),
        classes: element.kind == .bool ? ["0", "1"] : nil, bad: targets.bad)
      return
    }
    guard !element.isText else {
      throw targets.bad(
        "the targets are text; \(task == .multilabel ? "multilabel targets are 0 and 1" : "a regression predicts numbers"). "
          + "Convert them, as with arr.astype('float64'), or use the task classification")
    }
    try self.init(
      features: features.values(), inputs: features.columns, targets: targets.values(),
      outputs: targets.columns, task: task, labels: { () throws(ChainruleError) in try targets.labels() },
      bad: targets.bad)
  }

  /// Creates a data set from the rows of one array. `targets` are the columns to predict, counted from 1
  /// (empty: the last one); all others are features.
  ///
  /// - Throws: The errors of ``init(features:targets:task:)``, and `ChainruleError.badData` for columns that
  ///   do not exist or are repeated, or if no column is left for features.
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
    guard Set(places).count == places.count else {
      throw table.bad("the target columns are \(enumeration(targets.map(String.init))); expected each once")
    }
    guard !others.isEmpty else {
      throw table.bad(
        "the targets take all of the \(columns) columns; at least one must be left for the features")
    }
    // Rounding the targets to `Scalar` must not merge two classes.
    let all: [Double] = try table.values()
    var x = try [Scalar](roomFor: all.count / columns * others.count, for: "the features")
    var y = try [Double](roomFor: all.count / columns * places.count, for: "the targets")
    for row in stride(from: 0, to: all.count, by: columns) {
      for column in others { x.append(Scalar(all[row + column])) }
      for column in places { y.append(all[row + column]) }
    }
    try self.init(
      features: x, inputs: others.count, targets: y, outputs: places.count, task: task,
      labels: { () throws(ChainruleError) in try table.labels(inColumn: places[0]) }, bad: table.bad)
  }

  /// Creates a data set from targets, rows × outputs, as ``init(features:targets:task:)`` does. `labels`
  /// returns the label of each row for a single target column; `nil`: the number of its target. `bad` creates
  /// errors.
  init(
    features: [Scalar], inputs: Int, targets: [Double], outputs: Int, task: CSVOptions.LearningTask,
    labels: (() throws(ChainruleError) -> [String])? = nil, bad: (String) -> ChainruleError
  ) throws(ChainruleError) {
    let rows = targets.count / outputs
    /// Returns the place of the element at `index`, for errors.
    func place(_ index: Int) -> String {
      "row \(index / outputs + 1)" + (outputs == 1 ? "" : ", target \(index % outputs + 1)")
    }
    if outputs == 1, task == .classification || (task == .automatic && recurWhole(targets)) {
      let names: [String]
      if let labels {
        names = try labels()
      } else {
        names = try numberLabels(rows: rows, bad: bad) { targets[$0] }
      }
      try self.init(features: features, inputs: inputs, labels: names, bad: bad)
      return
    }
    if task == .classification {
      var indices = try [Int](roomFor: rows, for: "the classes of \(rows) rows")
      for row in 0..<rows {
        let targets = targets[row * outputs..<(row + 1) * outputs]
        guard let hot = targets.firstIndex(where: { $0 != 0 }), targets[hot] == 1,
          !targets[(hot + 1)...].contains(where: { $0 != 0 })
        else {
          throw bad(
            "row \(row + 1) does not have a single 1 and zeros in its \(outputs) target columns, as classes need. Where a row "
              + "may have several labels, use the task multilabel")
        }
        indices.append(hot - row * outputs)
      }
      let names = (0..<outputs).map(String.init)
      try self.init(
        features: features, inputs: inputs, labels: indices.map { names[$0] }, classes: names, bad: bad)
      return
    }
    if task == .multilabel, let index = targets.firstIndex(where: { $0 != 0 && $0 != 1 }) {
      throw bad("\(place(index)) is \(targets[index]); the task multilabel needs 0 or 1 in every target")
    }
    var rounded = try [Scalar](roomFor: targets.count, for: "the targets of \(rows) rows")
    for (index, target) in targets.enumerated() {
      let number = Scalar(target)
      guard number.isFinite else {
        throw bad("\(place(index)) is \(target); expected a finite number of \(Scalar.scalarType.rawValue)")
      }
      rounded.append(number)
    }
    try self.init(features: features, targets: rounded, rows: rows, inputs: inputs, outputs: outputs)
  }
}

/// Whether all numbers are whole, with 2 to 20 distinct ones that occur at least twice on average.
private func recurWhole(_ numbers: [Double]) -> Bool {
  var known: Set<Double> = []
  for number in numbers {
    guard Int(exactly: number) != nil else { return false }
    known.insert(number)
    if known.count > 20 { return false }
  }
  return known.count >= 2 && known.count <= numbers.count / 2
}

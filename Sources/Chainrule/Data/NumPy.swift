/// The rows of two `.npy` files, as `numpy.save` writes them, read batch by batch.
///
///     let source = try NumPySource<Float>(features: "x.npy", targets: "y.npy")
///
/// The arrays are as those of ``NumPyArray``; one in Fortran order must not be compressed, and is read a column at a time.
/// The first dimension counts the rows; those that follow, if any, make the columns. Numbers are taken as they stand,
/// rounded to `Scalar`. The files must stay as they are while the source is in use.
public struct NumPySource<Scalar: NetworkScalar>: BatchSource {
  private let pair: ArrayPair

  /// The number of elements of a row of features.
  public var inputs: Int { pair.inputs }
  /// The number of elements of a row of targets; for classes, the number of classes.
  public var outputs: Int { pair.outputs }
  /// The number of rows.
  public var rowCount: Int? { pair.features.rows }
  /// The classes; nil where the targets are numbers to predict.
  public var classLabels: [String]? { pair.classLabels }

  /// - Parameters:
  ///   - features: The path of an array of rows × inputs.
  ///   - targets: That of an array of rows × outputs or, with `classLabels`, of one class number a row.
  ///   - classLabels: The names of the classes 0, 1, …; nil: the targets are numbers to predict.
  /// - Throws: `ChainruleError.file` for a file that cannot be read; `.badData` for one that is not of the format, is
  ///   shorter or longer than its header says, or where the two do not fit one another; `.invalidValue` for classes that
  ///   are not at least one, each once. The iterator throws `.badData` for a number that is NaN or infinite, or a class
  ///   number out of range.
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

  /// The rows in the order of the files.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> ArrayBatches<Scalar> {
    try ArrayBatches(pair, size: size)
  }

  /// The hash of the files' bytes.
  public func makeFingerprint() throws(ChainruleError) -> String? { try pair.fingerprint() }
}

/// An array of a `.npy` file, as `numpy.save` writes it.
///
/// Its format is 1.0, 2.0 or 3.0, its elements are booleans, integers of 8 to 64 bits or floats of 16 to 64, in either byte
/// order; they may stand in C or in Fortran order.
public struct NumPyArray: Sendable {
  /// The sizes of the array, the rows first: at least one, each at least 1.
  public var dimensions: [Int] { header.dimensions }
  /// The number of elements of a row: the product of the sizes but the first.
  public var columns: Int { header.columns }
  let header: ArrayHeader
  private let bytes: [UInt8]
  let file: String?

  /// Reads the `.npy` file at `path`, gzip-compressed or not.
  ///
  /// - Throws: As ``DataFile/init(_:format:)``, and `ChainruleError.badData` for a file that is not of the format, has no
  ///   rows of numbers, or is shorter or longer than its header says.
  public init(file path: String) throws(ChainruleError) {
    try self.init(DataFile(path, format: .npy))
  }

  /// Takes a file that has been read.
  ///
  /// - Throws: `ChainruleError.badData` as ``init(file:)``.
  public init(_ file: DataFile) throws(ChainruleError) {
    try self.init(bytes: file.bytes, file: file.name)
  }

  init(bytes: [UInt8], file: String? = nil) throws(ChainruleError) {
    header = try ArrayHeader(npy: bytes, file: file)
    try header.checkSize(bytes.count, file: file)
    self.bytes = bytes
    self.file = file
  }

  /// All elements, row-major, rounded to `Scalar`.
  ///
  /// - Throws: `ChainruleError.badData` for an element that is NaN or infinite in `Scalar`.
  public func values<Scalar: NetworkScalar>(
    as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try header.values(in: bytes, file: file)
  }

  func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: reason)
  }
}

// MARK: - Headers

extension ArrayFile {
  /// The `.npy` file at `path`.
  init(npy path: String) throws(ChainruleError) {
    try self.init(path, headLength: ArrayHeader.maximumNumPyLength) { head throws(ChainruleError) in
      try ArrayHeader(npy: head, file: path)
    }
  }
}

extension ArrayHeader {
  /// What a `.npy` file begins with.
  static let numPyMark: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// The most bytes of a dictionary.
  private static let maximumDictionary = 1 << 16
  /// The most bytes of the header of a `.npy` file.
  static let maximumNumPyLength = 12 + maximumDictionary

  /// What a `.npy` file says that begins with the bytes `head`, ``maximumNumPyLength`` at least where there are as many.
  ///
  ///     file   = 0x93 "NUMPY" major minor length header elements
  ///     length = of the header in bytes, little-endian: 2 bytes in format 1.0, 4 in 2.0 and 3.0
  ///     header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }", spaces, a line feed
  ///
  /// As of NumPy's `numpy.lib.format`.
  init(npy head: [UInt8], file: String?) throws(ChainruleError) {
    func bad(_ reason: String) -> ChainruleError {
      .badData(file: file, line: nil, column: nil, reason: reason)
    }
    guard !head.starts(with: Array("PK".utf8)) else {
      throw bad("this is an .npz archive; expected one of the .npy files in it")
    }
    guard head.starts(with: Self.numPyMark) else {
      throw bad("this is no .npy file: one begins with the byte 0x93 and NUMPY")
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

/// The dictionary of an `.npy` header, a literal of Python with three keys.
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
      guard take(":") else { throw bad("expected : behind '\(key)'") }
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
      if isTwice { throw bad("the key '\(key)' stands twice") }
      if take(",") { continue }
      guard take("}") else { throw bad("expected , or } behind the value of '\(key)'") }
      break
    }
    skipSpaces()
    guard index == bytes.count else { throw bad("there is text behind the dictionary") }

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

  /// Whether `text` is next, behind spaces; it is then behind.
  private mutating func take(_ text: String) -> Bool {
    skipSpaces()
    guard bytes[index...].starts(with: text.utf8) else { return false }
    index += text.utf8.count
    return true
  }

  /// A text in single or double quotes; nil where none is next. No text that may stand here has a backslash.
  private mutating func string() throws(ChainruleError) -> String? {
    guard let quote = ["'", "\""].first(where: { take($0) })?.utf8.first else { return nil }
    guard let end = bytes[index...].firstIndex(of: quote) else { throw bad("a quote does not close") }
    defer { index = end + 1 }
    return String(decoding: bytes[index..<end], as: UTF8.self)
  }

  /// The element type, such as '<f4': byte order, kind, bytes.
  private mutating func type() throws(ChainruleError) -> ArrayElement {
    guard let text = try string() else {
      if take("[") { throw bad("'descr' is a list, of a structured array; expected one of plain numbers") }
      throw bad("'descr' is no text in quotes")
    }
    let kinds: [String: ArrayElement.Kind] = [
      "b1": .bool, "i1": .int8, "i2": .int16, "i4": .int32, "i8": .int64, "u1": .uint8, "u2": .uint16,
      "u4": .uint32,
      "u8": .uint64, "f2": .float16, "f4": .float32, "f8": .float64,
    ]
    guard let kind = kinds[String(text.dropFirst())] else {
      throw bad(
        "the element type is '\(text)'; expected b1, i1 to i8, u1 to u8 or f2 to f8 behind a byte order")
    }
    let isByte = kind == .bool || kind == .int8 || kind == .uint8
    switch text.first {
    case "<": return ArrayElement(kind: kind)
    case ">": return ArrayElement(kind: kind, isBigEndian: true)
    case "|" where isByte: return ArrayElement(kind: kind)
    default: throw bad("the byte order of '\(text)' is unknown; expected < or >\(isByte ? " or |" : "")")
    }
  }

  private mutating func boolean() throws(ChainruleError) -> Bool {
    if take("True") { return true }
    if take("False") { return false }
    throw bad("'fortran_order' is neither True nor False")
  }

  /// A tuple of integers: (), (3,) or (3, 4).
  private mutating func shape() throws(ChainruleError) -> [Int] {
    guard take("(") else { throw bad("'shape' is no tuple, which begins with (") }
    var dimensions: [Int] = []
    while !take(")") {
      let start = index
      while index < bytes.count, UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[index] { index += 1 }
      guard index > start else { throw bad("'shape' has something that is no integer of at least 0") }
      guard let dimension = Int(String(decoding: bytes[start..<index], as: UTF8.self)) else {
        throw bad("a dimension of 'shape' is too large")
      }
      dimensions.append(dimension)
      if take(",") { continue }
      guard take(")") else { throw bad("expected , or ) behind a dimension of 'shape'") }
      guard dimensions.count > 1 else {
        throw bad("'shape' is a number in parentheses; a tuple of one is (3,)")
      }
      break
    }
    return dimensions
  }
}

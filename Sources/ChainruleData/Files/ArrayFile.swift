/// The type of an array's elements.
struct ArrayElement: Equatable, Sendable {
  enum Kind: String, Sendable {
    case bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64
    /// Text in UTF-32 or in bytes, padded with NULs to ``ArrayElement/length``.
    case unicode, bytes
  }

  let kind: Kind
  var isBigEndian = false
  /// Whether a byte is a level from 0 to 1, that is, divided by 255.
  var isLevel = false
  /// The number of characters of a text, including NULs; 1 for numbers.
  var length = 1

  var isText: Bool { kind == .unicode || kind == .bytes }

  /// The number of bytes of an element.
  var size: Int {
    switch kind {
    case .bool, .int8, .uint8: 1
    case .unicode: 4 * length
    case .bytes: length
    case .int16, .uint16, .float16: 2
    case .int32, .uint32, .float32: 4
    case .int64, .uint64, .float64: 8
    }
  }

  var isFloatingPoint: Bool { kind == .float16 || kind == .float32 || kind == .float64 }
}

/// The description of an array in the header of its file.
struct ArrayHeader: Sendable {
  var element: ArrayElement
  /// The dimensions, with the rows first: at least one dimension, each at least 1.
  let dimensions: [Int]
  /// Whether the first index changes fastest instead of the last.
  let isFortran: Bool
  /// The offset of the elements.
  let offset: Int
  /// The offset after the elements.
  let end: Int

  /// Creates a header.
  ///
  /// - Throws: `ChainruleError.badData` for dimensions whose product is too large.
  init(
    element: ArrayElement, dimensions: [Int], isFortran: Bool, offset: Int, file: String?
  ) throws(ChainruleError) {
    var (size, isTooLarge) = (element.size, false)
    for dimension in dimensions where !isTooLarge {
      (size, isTooLarge) = size.multipliedReportingOverflow(by: dimension)
    }
    let sum = size.addingReportingOverflow(offset)
    guard !isTooLarge, !sum.overflow else {
      throw .badData(
        file: file, line: nil, column: nil,
        reason: "the dimensions \(Self.text(of: dimensions)) are too large")
    }
    self.element = element
    self.dimensions = dimensions
    self.isFortran = isFortran && dimensions.count > 1
    self.offset = offset
    end = sum.partialValue
  }

  /// The number of rows.
  var rows: Int { dimensions[0] }
  /// The number of elements of a row.
  var columns: Int { dimensions.dropFirst().reduce(1, *) }

  /// Returns the dimensions as text, such as "2 × 3".
  static func text(of dimensions: [Int]) -> String { dimensions.map(String.init).joined(separator: " × ") }

  /// Throws unless the file has the size that the header implies. `orMore` means that the file may have more
  /// than `bytes` bytes.
  func checkSize(_ bytes: Int, orMore: Bool = false, file: String?) throws(ChainruleError) {
    guard bytes == end else {
      throw .badData(
        file: file, line: nil, column: nil,
        reason:
          "expected \(end - offset) bytes after the header, for \(Self.text(of: dimensions)) elements of "
          + "\(element.kind); got \(max(bytes - offset, 0))\(orMore ? " or more" : "")")
    }
  }

  /// Throws for text.
  func requireNumbers(file: String?) throws(ChainruleError) {
    guard element.isText else { return }
    throw .badData(
      file: file, line: nil, column: nil,
      reason:
        "the elements are text; expected numbers. Only class labels may be text, in an array of their own; convert "
        + "other text in Python, as with arr.astype('float64')")
  }

  /// Returns, for an array in Fortran order, the distance of each element of a row from the row's first, in
  /// elements.
  func fortranPlaces(file: String?) throws(ChainruleError) -> [Int] {
    var (places, step) = ([0], rows)
    for dimension in dimensions.dropFirst() {
      var next = try [Int](roomFor: places.count * dimension, for: "the columns of \(file ?? "an array")")
      for place in places {
        for index in 0..<dimension { next.append(place + index * step) }
      }
      places = next
      step *= dimension
    }
    return places
  }

  /// Returns all elements of the file `bytes`, row-major. The size has been checked.
  ///
  /// - Throws: `ChainruleError.badData` for a number that is NaN or infinite in `Scalar`, `.outOfMemory`.
  func values<Scalar: NetworkScalar>(in bytes: [UInt8], file: String?) throws(ChainruleError) -> [Scalar] {
    try requireNumbers(file: file)
    let purpose = "the \(Self.text(of: dimensions)) numbers of \(file ?? "an array")"
    var values: [Scalar] = try decode(
      bytes, from: offset, count: rows * columns, as: element, for: purpose)
    if isFortran {
      let places = try fortranPlaces(file: file)
      var turned = try [Scalar](roomFor: values.count, for: purpose)
      for row in 0..<rows {
        for place in places { turned.append(values[row + place]) }
      }
      values = turned
    }
    try checkFinite(values, columns: columns, file: file)
    return values
  }
}

/// Throws for a number that is NaN or infinite. The error names its place; `firstRow` is the number of the
/// first row, from 0.
private func checkFinite<Scalar: NetworkScalar>(
  _ values: [Scalar], columns: Int, firstRow: Int = 0, file: String?
) throws(ChainruleError) {
  guard let index = firstNotFinite(values) else { return }
  throw .badData(
    file: file, line: nil, column: nil,
    reason: "row \(firstRow + index / columns + 1), column \(index % columns + 1) is \(values[index]) "
      + "in \(Scalar.scalarType.rawValue); expected a finite number")
}

/// A file with an array of numbers, whose header has been read.
struct ArrayFile: Sendable {
  let path: String
  let header: ArrayHeader

  var element: ArrayElement { header.element }
  var dimensions: [Int] { header.dimensions }
  /// The number of rows.
  var rows: Int { header.rows }
  /// The number of elements of a row.
  var columns: Int { header.columns }

  /// Reads the header, of at most `headLength` bytes, and compares it with the size of the file.
  init(
    _ path: String, headLength: Int, header: ([UInt8]) throws(ChainruleError) -> ArrayHeader
  ) throws(ChainruleError) {
    let reader = try FileReader(path)
    self.path = path
    self.header = try header(reader.bytes(at: 0, count: headLength))
    try self.header.requireNumbers(file: path)
    let size = try reader.size(upTo: self.header.end)
    try self.header.checkSize(size, orMore: reader.isCompressed && size > self.header.end, file: path)
    if self.header.isFortran, reader.isCompressed {
      throw bad("the array is in Fortran order and compressed; unpack it with gunzip first")
    }
  }

  func bad(_ reason: String) -> ChainruleError {
    .badData(file: path, line: nil, column: nil, reason: reason)
  }
}

/// Reads the rows of an array in a file, from the first one on, with about 256 KiB of them, or a batch, in
/// memory.
final class ArrayReader {
  private let file: ArrayFile
  private let reader: FileReader
  private let rowBytes: Int
  /// The bytes of whole rows; `used` of them have been read.
  private var bytes: [UInt8] = []
  private var used = 0
  private var row = 0
  /// The largest number of bytes in memory so far.
  private(set) var peakBytes = 0

  init(_ file: ArrayFile) throws(ChainruleError) {
    self.file = file
    reader = try FileReader(file.path)
    rowBytes = file.columns * file.element.size
  }

  /// Returns the offset in `bytes` of the next `count` rows.
  private func take(_ count: Int) throws(ChainruleError) -> Int {
    let wanted = count * rowBytes
    if bytes.count - used < wanted {
      bytes.removeFirst(used)
      used = 0
      let first = row + bytes.count / rowBytes
      let most = max(wanted, (1 << 18) / rowBytes * rowBytes)
      try read(min((most - bytes.count) / rowBytes, file.rows - first), from: first)
      guard bytes.count >= wanted else { throw file.bad("the file has become shorter since it was opened") }
      peakBytes = max(peakBytes, bytes.count)
    }
    defer {
      used += wanted
      row += count
    }
    return used
  }

  /// Appends the bytes of `count` rows from `first` on, row-major.
  private func read(_ count: Int, from first: Int) throws(ChainruleError) {
    let (size, offset) = (file.element.size, file.header.offset)
    guard file.header.isFortran else {
      try reader.append(count * rowBytes, at: offset + first * rowBytes, to: &bytes)
      return
    }
    let start = bytes.count
    try bytes.makeRoom(for: count * rowBytes, limit: start + count * rowBytes, for: "reading \(file.path)")
    bytes.append(contentsOf: repeatElement(0, count: count * rowBytes))
    for (column, place) in try file.header.fortranPlaces(file: file.path).enumerated() {
      let elements = try reader.bytes(at: offset + (place + first) * size, count: count * size)
      guard elements.count == count * size else { return bytes.removeLast(count * rowBytes) }
      for index in elements.indices {
        bytes[start + index / size * rowBytes + column * size + index % size] = elements[index]
      }
    }
  }

  /// Returns the next rows, row-major: count × columns.
  ///
  /// - Throws: `ChainruleError.badData` for a number that is NaN or infinite in `Scalar`.
  func numbers<Scalar: NetworkScalar>(rows count: Int) throws(ChainruleError) -> [Scalar] {
    let firstRow = row
    let start = try take(count)
    let values: [Scalar] = try decode(
      bytes, from: start, count: count * file.columns, as: file.element, for: "a batch of \(file.path)")
    try checkFinite(values, columns: file.columns, firstRow: firstRow, file: file.path)
    return values
  }

  /// Returns the next rows of a column of class numbers, integers from 0 to `limit` - 1.
  func labels(rows count: Int, below limit: Int) throws(ChainruleError) -> [Int] {
    let firstRow = row
    let start = try take(count)
    // Any integer is exact enough in float64 to compare it with a limit ≤ 2¹⁶.
    let values: [Double] = try decode(
      bytes, from: start, count: count, as: file.element, for: "a batch of \(file.path)")
    if let index = values.firstIndex(where: { !($0 >= 0 && $0 < Double(limit)) }) {
      throw file.bad(
        "the label of row \(firstRow + index + 1) is \(Int(exactly: values[index]).map(String.init) ?? "\(values[index])"); "
          + "expected 0 to \(limit - 1)")
    }
    return values.map { Int($0) }
  }
}

/// Decodes `count` elements from the byte `start` on; unsigned bytes that are levels are divided by 255.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
private func decode<Scalar: NetworkScalar>(
  _ bytes: [UInt8], from start: Int, count: Int, as element: ArrayElement,
  for purpose: @autoclosure () -> String
) throws(ChainruleError) -> [Scalar] {
  try checkMemory(count, of: Scalar.self, for: purpose())
  return bytes.withUnsafeBytes { bytes in
    /// Loads the integer of an element.
    @inline(__always)
    func load<Integer: FixedWidthInteger>(_ index: Int, as: Integer.Type) -> Integer {
      let value = bytes.loadUnaligned(
        fromByteOffset: start + index * MemoryLayout<Integer>.size, as: Integer.self)
      return element.isBigEndian ? Integer(bigEndian: value) : Integer(littleEndian: value)
    }
    let places = 0..<count
    let levels = element.isLevel ? (0...255).map { Scalar($0) / 255 } : []
    return switch element.kind {
    case .bool: places.map { load($0, as: UInt8.self) == 0 ? 0 : 1 }
    case .uint8 where element.isLevel: places.map { levels[Int(load($0, as: UInt8.self))] }
    case .uint8: places.map { Scalar(load($0, as: UInt8.self)) }
    case .int8: places.map { Scalar(load($0, as: Int8.self)) }
    case .uint16: places.map { Scalar(load($0, as: UInt16.self)) }
    case .int16: places.map { Scalar(load($0, as: Int16.self)) }
    case .uint32: places.map { Scalar(load($0, as: UInt32.self)) }
    case .int32: places.map { Scalar(load($0, as: Int32.self)) }
    case .uint64: places.map { Scalar(load($0, as: UInt64.self)) }
    case .int64: places.map { Scalar(load($0, as: Int64.self)) }
    case .float16: places.map { Scalar(half(load($0, as: UInt16.self))) }
    case .float32: places.map { Scalar(Float(bitPattern: load($0, as: UInt32.self))) }
    case .float64: places.map { Scalar(Double(bitPattern: load($0, as: UInt64.self))) }
    case .unicode, .bytes: []
    }
  }
}

/// Returns the number of an IEEE 754 binary16: 1 bit of sign, 5 of the exponent with bias 15, 10 of the
/// significand.
private func half(_ bits: UInt16) -> Float {
  let sign: Float = bits >> 15 == 0 ? 1 : -1
  let (exponent, significand) = (UInt32(bits >> 10 & 31), UInt32(bits & 1023))
  switch exponent {
  case 0: return sign * Float(significand) * 0x1p-24
  case 31: return significand == 0 ? sign * .infinity : .nan
  default: return sign * Float(bitPattern: (exponent + 112) << 23 | significand << 13)
  }
}

// MARK: - Pairs of arrays

/// An array of features and one of targets with the same rows.
struct ArrayPair: Sendable {
  let features: ArrayFile
  let targets: ArrayFile
  /// The classes; `nil` if the targets are numbers to predict.
  let classLabels: [String]?

  var inputs: Int { features.columns }
  var outputs: Int { classLabels?.count ?? targets.columns }

  /// Creates a pair.
  ///
  /// - Throws: `ChainruleError.badData` if the arrays do not match, or the targets are not class numbers.
  init(features: ArrayFile, targets: ArrayFile, classLabels: [String]?) throws(ChainruleError) {
    guard targets.rows == features.rows else {
      throw targets.bad("there are \(targets.rows) rows of targets for \(features.rows) of features")
    }
    if classLabels != nil {
      guard targets.columns == 1 else {
        throw targets.bad("the targets have \(targets.columns) columns; expected 1 of class numbers")
      }
      guard !targets.element.isFloatingPoint else {
        throw targets.bad("the labels are \(targets.element.kind); expected integers")
      }
    }
    self.features = features
    self.targets = targets
    self.classLabels = classLabels
  }
}

/// Reads the rows of an ``IDXSource`` or a ``NumPySource`` once.
public struct ArrayBatches<Scalar: NetworkScalar>: BatchIterator {
  private let pair: ArrayPair
  private let size: Int
  private let features: ArrayReader
  private let targets: ArrayReader
  private var row = 0

  init(_ pair: ArrayPair, size: Int) throws(ChainruleError) {
    try checkCount("batchSize", size, atLeast: 1)
    self.pair = pair
    self.size = size
    features = try ArrayReader(pair.features)
    targets = try ArrayReader(pair.targets)
  }

  /// The largest number of bytes of both files in memory so far.
  var peakBytes: Int { features.peakBytes + targets.peakBytes }

  /// Returns the next rows of the files.
  public mutating func next() throws(ChainruleError) -> Dataset<Scalar>? {
    let count = min(size, pair.features.rows - row)
    guard count > 0 else { return nil }
    row += count
    let x: [Scalar] = try features.numbers(rows: count)
    let y: [Scalar] =
      if let classes = pair.classLabels?.count {
        oneHot(try targets.labels(rows: count, below: classes), classes: classes)
      } else {
        try targets.numbers(rows: count)
      }
    return Dataset(
      vouchedFeatures: x, targets: y, rows: count, inputs: pair.inputs, outputs: pair.outputs,
      featureNames: nil,
      targetNames: nil, classLabels: pair.classLabels, sampleWeights: nil)
  }
}

// MARK: - IDX

/// The rows of two IDX files, such as MNIST's, read batch by batch, with the numbers and classes of
/// ``Dataset/init(idxImages:labels:)``. The files must not change while the source is in use.
public struct IDXSource<Scalar: NetworkScalar>: BatchSource {
  private let pair: ArrayPair

  /// The number of pixels of an image, height × width.
  public var inputs: Int { pair.inputs }
  /// The number of classes.
  public var outputs: Int { pair.outputs }
  /// The number of images.
  public var rowCount: Int? { pair.features.rows }
  /// The classes: 0 to the highest label in the file, which a pass over the labels finds.
  public var classLabels: [String] { pair.classLabels ?? [] }

  /// Opens the files.
  ///
  /// - Parameters:
  ///   - images: The path of an array of rows × height × width; the dimensions after the first, of any
  ///     number, form the inputs.
  ///   - labels: The path of an array with one class number per row.
  /// - Throws: The errors of ``Dataset/init(idxImages:labels:)``, except for NaN and infinity, for which the
  ///   iterator throws.
  public init(images: String, labels: String) throws(ChainruleError) {
    let (images, labels) = (
      try ArrayFile(idx: images, levels: true), try ArrayFile(idx: labels, levels: false)
    )
    guard labels.dimensions.count == 1 else {
      throw labels.bad("the labels have \(labels.dimensions.count) dimensions; expected 1")
    }
    guard labels.rows == images.rows else {
      throw labels.bad("there are \(labels.rows) labels for \(images.rows) images")
    }
    guard !labels.element.isFloatingPoint else {
      throw labels.bad("the labels are \(labels.element.kind); expected integers")
    }
    let reader = try ArrayReader(labels)
    var highest = 0
    for rows in blocks(of: 1 << 14, in: labels.rows) {
      let some = try reader.labels(rows: rows.count, below: Dataset<Scalar>.maximumClasses)
      highest = max(highest, some.max() ?? 0)
    }
    pair = try ArrayPair(features: images, targets: labels, classLabels: (0...highest).map(String.init))
  }

  /// Returns the rows in the order of the files.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> ArrayBatches<Scalar> {
    try ArrayBatches(pair, size: size)
  }

  /// Returns the hash of the files' bytes.
  public func makeFingerprint() throws(ChainruleError) -> String? { try pair.fingerprint() }
}

extension ArrayFile {
  /// Opens the IDX file at `path`; `levels` means that unsigned bytes are levels.
  init(idx path: String, levels: Bool) throws(ChainruleError) {
    try self.init(path, headLength: ArrayHeader.maximumIDXLength) { head throws(ChainruleError) in
      var header = try ArrayHeader(idx: head, file: path)
      header.element.isLevel = header.element.isLevel && levels
      return header
    }
  }
}

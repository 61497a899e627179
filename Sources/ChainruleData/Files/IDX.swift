/// The contents of an IDX file, the format of MNIST: two zero bytes, the element type, the number of
/// dimensions d, d sizes as big-endian 32-bit integers, then the elements, big-endian and row-major.
public struct IDXFile: Sendable {
  /// The dimensions of the array, with the rows first: at least one dimension, each at least 1.
  public var dimensions: [Int] { header.dimensions }
  private let header: ArrayHeader
  private let bytes: [UInt8]
  private let file: String?

  /// Reads the IDX file at `path`, gzip-compressed or not.
  ///
  /// - Throws: The errors of ``DataFile/init(_:format:)``, and `ChainruleError.badData` for a file that is
  ///   not IDX, or is shorter or longer than its header states.
  public init(file path: String) throws(ChainruleError) {
    try self.init(DataFile(path, format: .idx))
  }

  /// Uses a file that has been read.
  ///
  /// - Throws: `ChainruleError.badData` as ``init(file:)`` does.
  public init(_ file: DataFile) throws(ChainruleError) {
    try self.init(bytes: file.bytes, file: file.name)
  }

  /// Checks that the file has the size that its header states.
  init(bytes: [UInt8], file: String? = nil) throws(ChainruleError) {
    header = try ArrayHeader(idx: bytes, file: file)
    try header.checkSize(bytes.count, file: file)
    self.bytes = bytes
    self.file = file
  }

  func bad(_ reason: String) -> ChainruleError {
    .badData(file: file, line: nil, column: nil, reason: reason)
  }

  /// Returns all elements, row-major: unsigned bytes divided by 255, that is from 0 to 1, others unchanged.
  ///
  /// - Throws: `ChainruleError.badData` for an element that is NaN or infinite in `Scalar`.
  public func values<Scalar: NetworkScalar>(
    as type: Scalar.Type = Scalar.self
  ) throws(ChainruleError) -> [Scalar] {
    try header.values(in: bytes, file: file)
  }

  /// Returns all elements as class numbers: integers from 0 to `limit` - 1.
  func labels(below limit: Int) throws(ChainruleError) -> [Int] {
    guard !header.element.isFloatingPoint else {
      throw bad("the labels are \(header.element.kind); expected integers")
    }
    var header = header
    header.element.isLevel = false
    try checkMemory(header.rows, of: (Int, String).self, for: "the labels of \(file ?? "an IDX file")")
    // Any of these integers is exact in float64.
    let labels: [Double] = try header.values(in: bytes, file: file)
    if let row = labels.firstIndex(where: { !($0 >= 0 && $0 < Double(limit)) }) {
      throw bad("the label of row \(row + 1) is \(Int(labels[row])); expected 0 to \(limit - 1)")
    }
    return labels.map { Int($0) }
  }
}

extension ArrayHeader {
  /// The maximum number of bytes of the header of an IDX file.
  static let maximumIDXLength = 4 + 4 * Int(UInt8.max)

  /// Reads the header of an IDX file. `head` has the file's first ``maximumIDXLength`` bytes, or all if there
  /// are fewer.
  init(idx head: [UInt8], file: String?) throws(ChainruleError) {
    func bad(_ reason: String) -> ChainruleError {
      .badData(file: file, line: nil, column: nil, reason: reason)
    }
    let kinds: [UInt8: ArrayElement.Kind] = [
      0x08: .uint8, 0x09: .int8, 0x0B: .int16, 0x0C: .int32, 0x0D: .float32, 0x0E: .float64,
    ]
    guard head.count >= 4, head[0] == 0, head[1] == 0 else {
      throw bad(
        "this is not an IDX file, which begins with two zero bytes, a type and a number of dimensions")
    }
    guard let kind = kinds[head[2]] else {
      throw bad("the IDX element type is 0x\(String(head[2], radix: 16)); expected 0x8, 0x9 or 0xb to 0xe")
    }
    let rank = Int(head[3])
    guard rank >= 1 else { throw bad("the IDX header gives no dimensions") }
    guard head.count >= 4 + 4 * rank else {
      throw bad("the file ends in its header: \(head.count) bytes of \(4 + 4 * rank)")
    }
    let dimensions = (1...rank).map { place in
      head[4 * place..<4 * place + 4].reduce(0) { $0 << 8 | Int($1) }
    }
    guard !dimensions.contains(0) else {
      throw bad("the IDX dimensions are \(Self.text(of: dimensions)); expected at least 1 each")
    }
    try self.init(
      element: ArrayElement(kind: kind, isBigEndian: true, isLevel: kind == .uint8), dimensions: dimensions,
      isFortran: false, offset: 4 + 4 * rank, file: file)
  }
}

extension Dataset {
  /// Creates a data set of classes from two IDX files, such as MNIST's: an array of images, rows × height ×
  /// width (the dimensions after the first, of any number, form the inputs), and an array of labels.
  ///
  /// Unsigned bytes become levels from 0 to 1 (divided by 255); elements of other types do not change. The
  /// classes are 0 to the highest label in the file.
  ///
  /// - Throws: The errors of ``IDXFile/init(file:)``, and `ChainruleError.badData` for NaN, infinity or a
  ///   negative label, and if the numbers of images and labels differ.
  public init(idxImages imagesPath: String, labels labelsPath: String) throws(ChainruleError) {
    try self.init(images: IDXFile(file: imagesPath), labels: IDXFile(file: labelsPath))
  }

  /// Creates a data set of classes from two IDX files that have been read, as ``init(idxImages:labels:)``
  /// does.
  ///
  /// - Throws: The errors of that initializer.
  public init(images: IDXFile, labels labelFile: IDXFile) throws(ChainruleError) {
    guard labelFile.dimensions.count == 1 else {
      throw labelFile.bad("the labels have \(labelFile.dimensions.count) dimensions; expected 1")
    }
    guard labelFile.dimensions[0] == images.dimensions[0] else {
      throw labelFile.bad("there are \(labelFile.dimensions[0]) labels for \(images.dimensions[0]) images")
    }
    let labels = try labelFile.labels(below: Self.maximumClasses)
    try self.init(
      features: images.values(), inputs: images.dimensions.dropFirst().reduce(1, *),
      labels: labels.map(String.init), classes: (0...labels.max()!).map(String.init), bad: labelFile.bad)
  }
}

/// Rows to train on and to evaluate on that need not fit in memory: batches of them, on demand and in a fixed order.
///
///     let flights = try CSVSource<Float>(file: "flights.csv", options: CSVOptions(target: ["delay"], task: .regression))
///     for try await epoch in trainer.epochs(3, on: flights, batchSize: 256) { print(epoch) }
///
/// ``CSVSource``, ``IDXSource`` and ``NumPySource`` read files; ``shuffled(buffer:seed:)`` gives another order. A
/// ``Dataset`` is a source as well. A type of your own, which reads a database, say, has the sizes and makes an iterator.
public protocol BatchSource<Scalar>: Sendable {
  /// The element type of the batches.
  associatedtype Scalar: NetworkScalar
  /// What reads the rows once.
  associatedtype Batches: BatchIterator<Scalar>

  /// The number of features of a row.
  var inputs: Int { get }
  /// The number of targets of a row; for classes, the number of classes.
  var outputs: Int { get }
  /// The number of rows; nil where it is known only once they have been read.
  var rowCount: Int? { get }

  /// The rows from the first on, `size` in each batch but the last, which has what is left.
  ///
  /// - Parameters:
  ///   - size: At least 1.
  ///   - epoch: The number of the epoch, counted from 0, for a source whose order differs from epoch to epoch.
  func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> Batches

  /// A text that differs where the rows differ, such as a hash, by which a resumed run knows its data; nil: unknown.
  func makeFingerprint() throws(ChainruleError) -> String?
}

/// Reads the rows of a ``BatchSource`` once.
public protocol BatchIterator<Scalar> {
  /// The element type of the batches.
  associatedtype Scalar: NetworkScalar
  /// The next batch; nil behind the last.
  mutating func next() throws(ChainruleError) -> Dataset<Scalar>?
}

extension BatchSource {
  /// The rows in the order of the first epoch; see ``makeBatches(of:epoch:)``.
  public func makeBatches(of size: Int) throws(ChainruleError) -> Batches {
    try makeBatches(of: size, epoch: 0)
  }
}

extension BatchSource {
  /// ``makeBatches(of:epoch:)``, each of as many features and targets as the source says.
  package func checkedBatches(of size: Int, epoch: Int = 0) throws(ChainruleError) -> CheckedBatches<Batches>
  {
    CheckedBatches(base: try makeBatches(of: size, epoch: epoch), inputs: inputs, outputs: outputs)
  }
}

/// The batches of a source, whose sizes are checked.
package struct CheckedBatches<Base: BatchIterator>: BatchIterator {
  fileprivate var base: Base
  fileprivate let inputs, outputs: Int

  package mutating func next() throws(ChainruleError) -> Dataset<Base.Scalar>? {
    guard let batch = try base.next() else { return nil }
    guard batch.inputs == inputs else {
      throw .shapeMismatch(what: "features of a source's batch", expected: inputs, actual: batch.inputs)
    }
    guard batch.outputs == outputs else {
      throw .shapeMismatch(what: "targets of a source's batch", expected: outputs, actual: batch.outputs)
    }
    return batch
  }
}

// MARK: - Data in memory

extension Dataset: BatchSource {
  /// ``rows``.
  public var rowCount: Int? { rows }

  /// The rows as they stand.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> DatasetBatches<Scalar> {
    try checkCount("batchSize", size, atLeast: 1)
    return DatasetBatches(data: self, size: size)
  }

  /// All rows of a source, which must fit in memory.
  ///
  /// - Throws: What its iterator throws, `ChainruleError.invalidValue` for a source without rows, and `.badData` for targets
  ///   of classes that are too large, as ``init(features:labels:featureNames:sampleWeights:)``.
  public init(_ source: some BatchSource<Scalar>) throws(ChainruleError) {
    var batches = try source.checkedBatches(of: 1024)
    var (features, targets, weights): ([Scalar], [Scalar], [Scalar]) = ([], [], [])
    var (rows, isWeighted) = (0, false)
    var first: Dataset?
    while let batch = try batches.next() {
      first = first ?? batch
      if let classes = batch.classLabels?.count {
        try Self.checkOneHot(
          rows: max(rows + batch.rows, source.rowCount ?? 0), classes: classes, inputs: batch.inputs)
      }
      features += batch.features
      targets += batch.targets
      weights += batch.sampleWeights ?? Array(repeating: 1, count: batch.rows)
      isWeighted = isWeighted || batch.sampleWeights != nil
      rows += batch.rows
    }
    try self.init(
      features: features, targets: targets, rows: rows, inputs: source.inputs, outputs: source.outputs,
      featureNames: first?.featureNames, targetNames: first?.targetNames, classLabels: first?.classLabels,
      sampleWeights: isWeighted ? weights : nil)
  }
}

/// The batches of a ``Dataset``.
public struct DatasetBatches<Scalar: NetworkScalar>: BatchIterator {
  let data: Dataset<Scalar>
  let size: Int
  private var start = 0

  init(data: Dataset<Scalar>, size: Int) {
    self.data = data
    self.size = size
  }

  /// A copy of the next rows.
  public mutating func next() throws(ChainruleError) -> Dataset<Scalar>? {
    guard start < data.rows else { return nil }
    let end = start + min(size, data.rows - start)
    defer { start = end }
    return data[rows: start..<end]
  }
}

// MARK: - Another order

extension BatchSource {
  /// The same rows in a random order, another one in each epoch, with `rows` of them held in memory.
  ///
  /// The buffer is filled with the first rows. Then a row of it, each equally likely, is the next, and the next row of
  /// the source takes its place. A row comes at most `rows` - 1 places earlier than it stands; a buffer of all rows
  /// gives every order equally likely. The seed and the number of the epoch give the same order on every platform,
  /// whatever the size of the batches.
  ///
  /// - Throws: `ChainruleError.invalidValue` for a buffer of less than 1 row.
  public func shuffled(buffer rows: Int, seed: UInt64) throws(ChainruleError) -> ShuffledSource<Self> {
    guard rows >= 1 else { throw .invalidValue(name: "buffer", value: "\(rows)", expected: "at least 1") }
    return ShuffledSource(base: self, buffer: rows, seed: seed)
  }
}

/// The rows of another source in random order; see ``BatchSource/shuffled(buffer:seed:)``.
public struct ShuffledSource<Base: BatchSource>: BatchSource {
  let base: Base
  let buffer: Int
  let seed: UInt64

  /// Of the source that is shuffled, as are all sizes.
  public var inputs: Int { base.inputs }
  /// See ``BatchSource/outputs``.
  public var outputs: Int { base.outputs }
  /// See ``BatchSource/rowCount``.
  public var rowCount: Int? { base.rowCount }

  /// The rows in the order of an epoch.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> Batches {
    try checkCount("batchSize", size, atLeast: 1)
    return Batches(self, size: size, epoch: epoch)
  }

  /// Reads the rows of one epoch.
  public struct Batches: BatchIterator {
    private let source: ShuffledSource
    private let size: Int
    private let epoch: Int
    private var random: SplitMix64
    private var rows: CheckedBatches<Base.Batches>?
    /// Rows of the source, of which those from `place` on are not in the buffer yet.
    private var incoming: Dataset<Base.Scalar>?
    private var place = 0
    private var isExhausted = false
    private var buffer = RowBuffer<Base.Scalar>()
    private var isWeighted = false

    init(_ source: ShuffledSource, size: Int, epoch: Int) {
      self.source = source
      self.size = size
      self.epoch = epoch
      // Two seeds, or epochs, that are next to one another begin far apart.
      var seeds = SplitMix64(seed: source.seed)
      var epochs = SplitMix64(seed: seeds.next() &+ UInt64(bitPattern: Int64(epoch)))
      random = SplitMix64(seed: epochs.next())
    }

    /// The next rows of the epoch.
    public mutating func next() throws(ChainruleError) -> Dataset<Base.Scalar>? {
      while buffer.rows < source.buffer, let some = try left() {
        let rows = place..<place + min(source.buffer - buffer.rows, some.rows - place)
        if let classes = some.classLabels?.count {
          try Dataset<Base.Scalar>.checkOneHot(
            rows: max(buffer.rows + rows.count, min(source.rowCount ?? 0, source.buffer)), classes: classes,
            inputs: source.inputs)
        }
        buffer.append(rows, of: some)
        place = rows.upperBound
      }
      guard buffer.rows > 0, let names = incoming else { return nil }
      var drawn = RowBuffer<Base.Scalar>()
      drawn.reserve(min(size, buffer.rows), columns: (source.inputs, source.outputs))
      while drawn.rows < size, buffer.rows > 0 {
        let some = try left()
        let count = min(size - drawn.rows, some.map { $0.rows - place } ?? buffer.rows)
        buffer.draw(
          count, into: &drawn, for: some, from: place, columns: (source.inputs, source.outputs), &random)
        place += some == nil ? 0 : count
      }
      return Dataset(
        vouchedFeatures: drawn.features, targets: drawn.targets, rows: drawn.rows, inputs: source.inputs,
        outputs: source.outputs, featureNames: names.featureNames, targetNames: names.targetNames,
        classLabels: names.classLabels, sampleWeights: isWeighted ? drawn.weights : nil)
    }

    /// `incoming`, with a row at `place`; nil where the source has no more.
    private mutating func left() throws(ChainruleError) -> Dataset<Base.Scalar>? {
      if isExhausted { return nil }
      if let incoming, place < incoming.rows { return incoming }
      if rows == nil { rows = try source.base.checkedBatches(of: min(source.buffer, 256), epoch: epoch) }
      guard let batch = try rows?.next() else {
        isExhausted = true
        return nil
      }
      (incoming, place) = (batch, 0)
      isWeighted = isWeighted || batch.sampleWeights != nil
      return batch
    }
  }
}

/// Rows held in memory: their features and targets, row-major, and their weights.
private struct RowBuffer<Scalar: NetworkScalar> {
  private(set) var (features, targets, weights): ([Scalar], [Scalar], [Scalar]) = ([], [], [])

  var rows: Int { weights.count }

  mutating func reserve(_ rows: Int, columns: (inputs: Int, outputs: Int)) {
    features.reserveCapacity(rows * columns.inputs)
    targets.reserveCapacity(rows * columns.outputs)
    weights.reserveCapacity(rows)
  }

  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  mutating func append(_ range: Range<Int>, of data: Dataset<Scalar>) {
    features += data.features[range.lowerBound * data.inputs..<range.upperBound * data.inputs]
    targets += data.targets[range.lowerBound * data.outputs..<range.upperBound * data.outputs]
    if let given = data.sampleWeights {
      weights += given[range]
    } else {
      weights += repeatElement(1, count: range.count)
    }
  }

  /// Moves `count` rows, each drawn at random of those that are held then, to the end of `drawn`. The rows of `incoming`
  /// from `place` on take their places, or, where it is nil, the last row held does.
  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  mutating func draw(
    _ count: Int, into drawn: inout RowBuffer, for incoming: Dataset<Scalar>?, from place: Int,
    columns: (inputs: Int, outputs: Int), _ random: inout SplitMix64
  ) {
    let incomingWeights = incoming.map { $0.sampleWeights ?? Array(repeating: 1, count: $0.rows) }
    for next in place..<place + count {
      let row = Int(random.next(below: UInt64(rows)))
      moveRow(
        row, of: &features, columns: columns.inputs, to: &drawn.features, for: next, of: incoming?.features)
      moveRow(
        row, of: &targets, columns: columns.outputs, to: &drawn.targets, for: next, of: incoming?.targets)
      moveRow(row, of: &weights, columns: 1, to: &drawn.weights, for: next, of: incomingWeights)
    }
  }
}

/// Moves a row of the matrix `held` to the end of `drawn`; the row `next` of `incoming` takes its place, or, where that
/// is nil, the last row held.
@inline(__always)
private func moveRow<Scalar>(
  _ row: Int, of held: inout [Scalar], columns: Int, to drawn: inout [Scalar], for next: Int,
  of incoming: [Scalar]?
) {
  let start = row * columns
  drawn += held[start..<start + columns]
  if let incoming {
    for index in 0..<columns { held[start + index] = incoming[next * columns + index] }
  } else {
    let last = held.count - columns
    for index in 0..<columns { held[start + index] = held[last + index] }
    held.removeLast(columns)
  }
}

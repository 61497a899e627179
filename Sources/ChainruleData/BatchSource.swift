/// Rows for training and evaluation that need not fit in memory: batches on demand, in a fixed order.
///
///     let options = CSVOptions(target: ["delay"], task: .regression)
///     let flights = try CSVSource<Float>(file: "flights.csv", options: options)
///     for try await epoch in trainer.epochs(3, on: flights, batchSize: 256) { print(epoch) }
///
/// ``CSVSource``, ``IDXSource`` and ``NumPySource`` read files; ``shuffled(buffer:seed:)`` changes the order.
/// A ``Dataset`` is also a source. A custom type, for example one that reads a database, provides the sizes
/// and an iterator.
public protocol BatchSource<Scalar>: Sendable {
  /// The element type of the batches.
  associatedtype Scalar: NetworkScalar
  /// The iterator, which reads the rows once.
  associatedtype Batches: BatchIterator<Scalar>

  /// The number of features of a row.
  var inputs: Int { get }
  /// The number of targets of a row; the number of classes for a classification.
  var outputs: Int { get }
  /// The number of rows; `nil` if it is known only after reading them.
  var rowCount: Int? { get }

  /// Returns the rows from the first one, in batches of `size`; the last batch has the remaining rows.
  ///
  /// - Parameters:
  ///   - size: The number of rows of a batch, at least 1.
  ///   - epoch: The number of the epoch, counted from 0, for a source whose order differs between epochs.
  func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> Batches

  /// Returns a text that identifies the rows, such as a hash, so that a resumed run can compare its data;
  /// `nil` if unknown.
  func makeFingerprint() throws(ChainruleError) -> String?
}

/// Reads the rows of a ``BatchSource`` once.
public protocol BatchIterator<Scalar> {
  /// The element type of the batches.
  associatedtype Scalar: NetworkScalar
  /// Returns the next batch; `nil` after the last.
  mutating func next() throws(ChainruleError) -> Dataset<Scalar>?
}

extension BatchSource {
  /// Returns the rows in the order of the first epoch; see ``makeBatches(of:epoch:)``.
  public func makeBatches(of size: Int) throws(ChainruleError) -> Batches {
    try makeBatches(of: size, epoch: 0)
  }
}

extension BatchSource {
  /// Returns ``makeBatches(of:epoch:)``, and checks that each batch has the source's numbers of features and
  /// targets.
  package func checkedBatches(of size: Int, epoch: Int = 0) throws(ChainruleError) -> CheckedBatches<Batches>
  {
    CheckedBatches(base: try makeBatches(of: size, epoch: epoch), inputs: inputs, outputs: outputs)
  }
}

/// The batches of a source, with checked sizes.
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
  /// The same as ``rows``.
  public var rowCount: Int? { rows }

  /// Returns the rows in their order, in every epoch.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> DatasetBatches<Scalar> {
    try checkCount("batchSize", size, atLeast: 1)
    return DatasetBatches(data: self, size: size)
  }

  /// Reads all rows of a source, which must fit in memory.
  ///
  /// - Throws: The errors of its iterator, `ChainruleError.invalidValue` for a source without rows, and
  ///   `.badData` for targets of classes that are too large, as
  ///   ``init(features:labels:featureNames:sampleWeights:)`` does.
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

  /// Returns a copy of the next rows.
  public mutating func next() throws(ChainruleError) -> Dataset<Scalar>? {
    guard start < data.rows else { return nil }
    let end = start + min(size, data.rows - start)
    defer { start = end }
    return data[rows: start..<end]
  }
}

// MARK: - Random order

extension BatchSource {
  /// Returns the same rows in a random order, which differs between epochs, using a buffer of `rows` rows in
  /// memory.
  ///
  /// The buffer starts with the first rows. Each next row is drawn from it with equal probability, and the
  /// next row of the source replaces it. A row moves at most `rows` - 1 places forward; a buffer of all rows
  /// makes all orders equally likely. The seed and the number of the epoch give the same order on every
  /// platform and for every batch size.
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

  /// See ``BatchSource/inputs``.
  public var inputs: Int { base.inputs }
  /// See ``BatchSource/outputs``.
  public var outputs: Int { base.outputs }
  /// See ``BatchSource/rowCount``.
  public var rowCount: Int? { base.rowCount }

  /// Returns the rows in the order of an epoch.
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
    /// The rows of the source's current batch. Those from `place` on are not in the buffer yet.
    private var incoming: Dataset<Base.Scalar>?
    private var place = 0
    private var isExhausted = false
    private var buffer = RowBuffer<Base.Scalar>()
    private var isWeighted = false

    init(_ source: ShuffledSource, size: Int, epoch: Int) {
      self.source = source
      self.size = size
      self.epoch = epoch
      // Mixing separates the generators of neighbouring seeds and epochs.
      var seeds = SplitMix64(seed: source.seed)
      var epochs = SplitMix64(seed: seeds.next() &+ UInt64(bitPattern: Int64(epoch)))
      random = SplitMix64(seed: epochs.next())
    }

    /// Returns the next rows of the epoch.
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

    /// Returns `incoming` with a row at `place`; `nil` if the source has no more.
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

/// A buffer of rows: their features and targets, row-major, and their weights.
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

  /// Moves `count` rows, drawn at random one after the other, to the end of `drawn`. The rows of `incoming`
  /// from `place` on replace them; if it is `nil`, the last row of the buffer does.
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

/// Moves a row of the matrix `held` to the end of `drawn`. The row `next` of `incoming` replaces it, or, if
/// that is `nil`, the last row of the buffer.
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

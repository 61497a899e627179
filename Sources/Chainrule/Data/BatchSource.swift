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

/// Throws for a size of batches below 1.
func checkBatchSize(_ size: Int) throws(ChainruleError) {
  guard size >= 1 else { throw .invalidValue(name: "batchSize", value: "\(size)", expected: "at least 1") }
}

// MARK: - Data in memory

extension Dataset: BatchSource {
  /// ``rows``.
  public var rowCount: Int? { rows }

  /// The rows as they stand.
  public func makeBatches(of size: Int, epoch: Int) throws(ChainruleError) -> DatasetBatches<Scalar> {
    try checkBatchSize(size)
    return DatasetBatches(data: self, size: size)
  }

  /// All rows of a source, which must fit in memory.
  ///
  /// - Throws: What its iterator throws, and `ChainruleError.invalidValue` for a source without rows.
  public init(_ source: some BatchSource<Scalar>) throws(ChainruleError) {
    var batches = try source.makeBatches(of: 1024)
    var (features, targets, weights): ([Scalar], [Scalar], [Scalar]) = ([], [], [])
    var (rows, isWeighted) = (0, false)
    var first: Dataset?
    while let batch = try batches.next() {
      first = first ?? batch
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
    try checkBatchSize(size)
    return Batches(self, size: size, epoch: epoch)
  }

  /// Reads the rows of one epoch.
  public struct Batches: BatchIterator {
    private let source: ShuffledSource
    private let size: Int
    private let epoch: Int
    private var random: SplitMix64
    private var rows: Base.Batches?
    /// Rows of the source that are not in the buffer yet, from `place` on.
    private var incoming: Dataset<Base.Scalar>?
    private var place = 0
    private var isExhausted = false
    /// The buffer, row-major.
    private var (features, targets, weights): ([Base.Scalar], [Base.Scalar], [Base.Scalar]) = ([], [], [])
    private var held = 0
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
      while held < source.buffer, try readRow() { hold(at: held) }
      guard held > 0, let names = incoming else { return nil }
      let (inputs, outputs) = (source.inputs, source.outputs)
      var (x, y, w): ([Base.Scalar], [Base.Scalar], [Base.Scalar]) = ([], [], [])
      var count = 0
      while count < size, held > 0 {
        let row = Int(random.next(below: UInt64(held)))
        x += features[row * inputs..<(row + 1) * inputs]
        y += targets[row * outputs..<(row + 1) * outputs]
        w.append(weights[row])
        count += 1
        if try readRow() { hold(at: row) } else { removeRow(row) }
      }
      return Dataset(
        vouchedFeatures: x, targets: y, rows: count, inputs: inputs, outputs: outputs,
        featureNames: names.featureNames, targetNames: names.targetNames, classLabels: names.classLabels,
        sampleWeights: isWeighted ? w : nil)
    }

    /// Whether there is another row of the source, now at `place` of `incoming`.
    private mutating func readRow() throws(ChainruleError) -> Bool {
      if isExhausted { return false }
      if let incoming, place + 1 < incoming.rows {
        place += 1
        return true
      }
      if rows == nil { rows = try source.base.makeBatches(of: min(source.buffer, 256), epoch: epoch) }
      guard let batch = try rows?.next() else {
        isExhausted = true
        return false
      }
      guard batch.inputs == source.inputs else {
        throw .shapeMismatch(
          what: "features of a source's batch", expected: source.inputs, actual: batch.inputs)
      }
      guard batch.outputs == source.outputs else {
        throw .shapeMismatch(
          what: "targets of a source's batch", expected: source.outputs, actual: batch.outputs)
      }
      (incoming, place) = (batch, 0)
      isWeighted = isWeighted || batch.sampleWeights != nil
      return true
    }

    /// Puts the incoming row into the buffer, in place of row `row` or behind the last.
    private mutating func hold(at row: Int) {
      guard let incoming else { return }
      let (x, y) = incoming.row(place)
      let weight = incoming.sampleWeights.map { $0[place] } ?? 1
      if row == held {
        features += x
        targets += y
        weights.append(weight)
        held += 1
      } else {
        features.replaceSubrange(row * x.count..<(row + 1) * x.count, with: x)
        targets.replaceSubrange(row * y.count..<(row + 1) * y.count, with: y)
        weights[row] = weight
      }
    }

    /// Takes a row out of the buffer; the last one takes its place.
    private mutating func removeRow(_ row: Int) {
      let (inputs, outputs) = (source.inputs, source.outputs)
      held -= 1
      for index in 0..<inputs { features[row * inputs + index] = features[held * inputs + index] }
      for index in 0..<outputs { targets[row * outputs + index] = targets[held * outputs + index] }
      weights[row] = weights[held]
      features.removeLast(inputs)
      targets.removeLast(outputs)
      weights.removeLast()
    }
  }
}

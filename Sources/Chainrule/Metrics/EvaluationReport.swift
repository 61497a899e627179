/// An ``Evaluation`` and the metrics that need the outputs themselves, in bounded memory on any number of
/// rows.
///
///     let report = try network.report(on: test)
///     print(report.evaluation, report.classScores?.areaUnderROC() ?? .nan)
///
/// It takes more time than an evaluation, because it ranks the outputs. The same rows in memory and streamed
/// in batches give the same numbers, the sums to rounding.
public struct EvaluationReport: Equatable, Codable, Sendable {
  /// The loss and the metrics of the decisions.
  public let evaluation: Evaluation
  /// The probability of the second of two classes, or of each label, above which it is predicted.
  @Figure public private(set) var threshold: Double
  /// The metrics of a classifier's outputs; `nil` if the targets are not classes.
  public let classScores: ClassScores?
  /// The metrics of the outputs of a multi-label model; `nil` for any other.
  public let labelScores: LabelScores?
  /// The median over the rows of |a - y| of each output, averaged over the outputs; NaN if the task is not
  /// regression, and for more than 1,000 outputs.
  ///
  /// Exact for up to 2¹⁸ distinct values of an output, or 2²⁰ / outputs if that is less.
  @Figure public private(set) var medianAbsoluteError: Double
  /// The largest possible difference of ``medianAbsoluteError`` from its exact value; 0 while that is exact.
  @Figure public private(set) var medianAbsoluteErrorUncertainty: Double

  /// Compares `outputs`, row-major rows × outputs of `dataset`, with the targets.
  ///
  /// - Parameters:
  ///   - loss: The loss of these rows, which becomes ``Evaluation/loss``.
  ///   - outputs: The network's outputs for the rows, row-major rows × outputs.
  ///   - dataset: The rows, with their targets and weights.
  ///   - activation: The activation of the outputs; see
  ///     ``Evaluation/init(loss:outputs:dataset:activation:threshold:)``. `nil`: the outputs of classes count
  ///     as probabilities if all are in 0 … 1.
  ///   - threshold: The probability of the second of two classes, or of each label, above which it is
  ///     predicted, 0 … 1.
  /// - Throws: The errors of ``Evaluation/init(loss:outputs:dataset:activation:threshold:)``.
  public init<Scalar: NetworkScalar>(
    loss: Double, outputs: [Scalar], dataset: Dataset<Scalar>, activation: Activation? = nil,
    threshold: Double = 0.5
  ) throws(ChainruleError) {
    var sum = try EvaluationReportSum(activation: activation, threshold: threshold)
    try sum.add(loss: loss, outputs: outputs, of: dataset)
    self = try sum.report(exactLoss: loss)
  }

  fileprivate init(_ sum: EvaluationReportSum, exactLoss: Double?) throws(ChainruleError) {
    evaluation = try sum.evaluation.evaluation(exactLoss: exactLoss)
    threshold = sum.threshold
    classScores = sum.classes?.scores()
    labelScores = sum.labels.isEmpty ? nil : LabelScores(sum.labels)
    let medians = sum.errors.map { $0.ranking().median }
    let isRegression = sum.evaluation.task == .regression
    medianAbsoluteError =
      isRegression ? medians.reduce(0) { $0 + $1.value } / Double(medians.count) : .nan
    medianAbsoluteErrorUncertainty =
      isRegression && !medians.isEmpty
      ? medians.reduce(0) { $0 + $1.uncertainty } / Double(medians.count) : 0
  }
}

/// The quality of the ranking of rows by each output of a multi-label model.
public struct LabelScores: Equatable, Codable, Sendable {
  /// The largest possible difference of an area here from its exact value; 0 if all are exact. They are exact
  /// for up to 2¹⁸ distinct scores of a label, or 2²⁰ / labels if that is less.
  @Figure public private(set) var areaUnderROCUncertainty: Double
  private let areas: [Figure]

  fileprivate init(_ histograms: [ScoreHistogram]) {
    let found = histograms.map { $0.ranking().areaUnderROC }
    areas = found.map { Figure(wrappedValue: $0.value) }
    areaUnderROCUncertainty = found.map(\.uncertainty).max() ?? 0
  }

  /// Returns the area under the ROC curve of a label, counted from 0, as ``ClassScores/areaUnderROC(of:)``
  /// does; NaN if all rows or no rows have the label.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there is no such label.
  public func areaUnderROC(of label: Int) throws(ChainruleError) -> Double {
    try checkIndex(label, within: areas.count, name: "the label")
    return areas[label].wrappedValue
  }

  /// The mean of the areas of all labels; NaN if one of them is NaN.
  public var macroAreaUnderROC: Double {
    areas.reduce(0) { $0 + $1.wrappedValue } / Double(areas.count)
  }
}

/// The sums over batches that an ``EvaluationReport`` of all their rows is computed from.
struct EvaluationReportSum {
  fileprivate private(set) var evaluation: EvaluationSum
  fileprivate let threshold: Double
  fileprivate private(set) var classes: ClassScoreSum?
  /// The scores of each label.
  fileprivate private(set) var labels: [ScoreHistogram] = []
  /// |a - y| of each output, all as positives, if the task may be a regression.
  fileprivate private(set) var errors: [ScoreHistogram] = []
  private let activation: Activation?

  init(activation: Activation?, threshold: Double) throws(ChainruleError) {
    evaluation = try EvaluationSum(activation: activation, threshold: threshold)
    self.activation = activation
    self.threshold = threshold
  }

  /// Adds a batch, whose L is `loss`.
  mutating func add<Scalar: NetworkScalar>(
    loss: Double, outputs: [Scalar], of batch: Dataset<Scalar>
  ) throws(ChainruleError) {
    let isFirst = evaluation.rows == 0
    try evaluation.add(loss: loss, outputs: outputs, of: batch)
    let isRanked = batch.outputs <= ScoreHistogram.largestNumber
    let histogram = ScoreHistogram(limit: ScoreHistogram.limit(of: batch.outputs))
    let histograms = isRanked ? Array(repeating: histogram, count: batch.outputs) : []
    if isFirst, batch.classLabels == nil { errors = histograms }
    addErrors(outputs, of: batch)
    switch evaluation.task! {
    case .classes:
      if isFirst { classes = ClassScoreSum(like: batch, activation: activation) }
      classes!.add(outputs: outputs, of: batch)
    case .labels:
      if isFirst { labels = histograms }
      addLabels(outputs, of: batch)
    case .regression: (classes, labels) = (nil, [])
    }
  }

  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  private mutating func addErrors<Scalar: NetworkScalar>(_ outputs: [Scalar], of batch: Dataset<Scalar>) {
    guard !errors.isEmpty else { return }
    for index in outputs.indices {
      errors[index % batch.outputs].add(
        abs(Double(outputs[index]) - Double(batch.targets[index])), isPositive: true)
    }
  }

  @_specialize(where Scalar == Float)
  @_specialize(where Scalar == Double)
  private mutating func addLabels<Scalar: NetworkScalar>(_ outputs: [Scalar], of batch: Dataset<Scalar>) {
    guard !labels.isEmpty else { return }
    for index in outputs.indices {
      labels[index % batch.outputs].add(Double(outputs[index]), isPositive: batch.targets[index] == 1)
    }
  }

  /// Returns the report of all rows.
  ///
  /// - Throws: `ChainruleError.invalidValue` if there was no row.
  func report(exactLoss: Double? = nil) throws(ChainruleError) -> EvaluationReport {
    try EvaluationReport(self, exactLoss: exactLoss)
  }
}

// MARK: - Reports of networks and models

extension Network {
  /// Compares predictions with the targets of a data set or a source, with all metrics: those of
  /// `evaluate(_:loss:)` and those that rank or weigh the outputs. The metrics need bounded memory.
  ///
  /// - Parameters:
  ///   - data: A `Dataset` or any other source, which is read once.
  ///   - loss: The loss; `nil` for that of the output layer, ``Loss/default(for:)``.
  ///   - threshold: The probability of the second of two classes, or of each label of a multi-label model,
  ///     above which it is predicted, 0 … 1.
  /// - Throws: `ChainruleError.shapeMismatch` for data that do not fit, `.invalidValue` for a threshold
  ///   outside 0 … 1, or for one other than ½ if the task does not use it; `.busy` during training, and the
  ///   errors of the source.
  public func report(
    on data: some BatchSource<Scalar>, loss: Loss? = nil, threshold: Double = 0.5
  ) throws(ChainruleError) -> EvaluationReport {
    try exclusivity { () throws(ChainruleError) in
      try core.report(on: data, loss: loss, threshold: threshold)
    }
  }
}

extension Model {
  /// Compares predictions with the targets of a data set or a source, with all metrics; see
  /// ``Network/report(on:loss:threshold:)``.
  public func report(
    on data: some BatchSource<Scalar>, loss: Loss? = nil, threshold: Double = 0.5
  ) throws(ChainruleError) -> EvaluationReport {
    try core.report(on: data, loss: loss, threshold: threshold)
  }
}

extension CoreNetwork {
  fileprivate func report(
    on source: some BatchSource<Scalar>, loss: Loss?, threshold: Double
  ) throws(ChainruleError) -> EvaluationReport {
    let loss = loss ?? Loss.default(for: layers.last!.activation)
    var sum = try EvaluationReportSum(activation: outputActivation, threshold: threshold)
    // A data set is one batch, so that an error names the row by its place in the data set.
    if let data = source as? Dataset<Scalar> {
      try checkFits(data)
      let value = try self.loss(loss, on: data)
      try sum.add(loss: value, outputs: try predict(data.features), of: data)
      return try sum.report(exactLoss: value)
    }
    var batches = try source.makeBatches(of: 256)
    while let batch = try batches.next() {
      try checkFits(batch)
      let value = try self.loss(loss, on: batch)
      try sum.add(loss: value, outputs: try predict(batch.features), of: batch)
    }
    return try sum.report()
  }
}

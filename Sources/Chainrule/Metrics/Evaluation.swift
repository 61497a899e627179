/// The agreement of a network's outputs with the targets of a data set.
///
/// The available metrics depend on the task:
/// - *Classes*: the data set has class labels, or a single target column of 0 and 1 for a sigmoid output. The
///   evaluation has a ``confusionMatrix``.
/// - *Several labels per row*: several sigmoid outputs, and every target is 0 or 1. The evaluation has
///   ``multilabel``.
/// - *Regression*: any other data set.
///
/// Every row counts the same in all metrics except the loss, which uses the sample weights. The metrics that
/// need the scores, not only the decisions, are in an ``EvaluationReport``.
public struct Evaluation: Equatable, Codable, Sendable {
  /// The number of rows evaluated.
  public let rows: Int
  /// L over these rows, from the loss function and the sample weights.
  @Figure public private(set) var loss: Double
  /// The fraction of rows whose class is predicted correctly, 0 … 1; NaN if the targets are not classes.
  ///
  /// The predicted class is the one with the largest output, the first if several are equal. A single output
  /// a predicts class 1 if a > ½, otherwise 0. Another threshold than ½ applies to the second of two classes.
  @Figure public private(set) var accuracy: Double
  /// The number of rows of each class predicted as each class; `nil` if the targets are not classes.
  public let confusionMatrix: ConfusionMatrix?
  /// The decisions for every label of a multi-label data set; `nil` for any other.
  public let multilabel: MultilabelConfusion?
  /// The mean of |a - y| over all rows and outputs.
  @Figure public private(set) var meanAbsoluteError: Double
  /// √(mean over the rows of (a - y)²) of each output, averaged over the outputs.
  @Figure public private(set) var rootMeanSquaredError: Double
  /// The coefficient of determination of each output, averaged over the outputs.
  ///
  /// R² = 1 - Σ(a - y)² / Σ(y - ȳ)². An output with a constant target has R² = 1 if every row is predicted
  /// exactly, otherwise 0. NaN for a single row.
  @Figure public private(set) var r2: Double
  /// The explained variance of each output, averaged over the outputs.
  ///
  /// 1 - Var(y - a) / Var(y), with the variance over the rows. Unlike R² it ignores a constant offset of the
  /// outputs. An output with a constant target has 1 if y - a is constant too, otherwise 0.
  @Figure public private(set) var explainedVariance: Double
  /// The mean of |a - y| / max(|y|, 2⁻⁵²) over all rows and outputs, as a fraction; NaN if the task is not
  /// regression.
  ///
  /// A target of 0 makes it huge: use it only for targets far from 0.
  @Figure public private(set) var meanAbsolutePercentageError: Double

  /// The mean recall of the classes that occur; NaN if the targets are not classes. See
  /// ``ConfusionMatrix/balancedAccuracy``.
  public var balancedAccuracy: Double { confusionMatrix?.balancedAccuracy ?? .nan }

  /// Compares `outputs`, row-major rows × outputs of `dataset`, with the targets.
  ///
  /// - Parameters:
  ///   - loss: The value that ``loss`` will have.
  ///   - outputs: The network's outputs for the rows, row-major rows × outputs.
  ///   - dataset: The rows, with their targets and weights.
  ///   - activation: The activation of the outputs, which determines the task. `nil`: a single target column
  ///     of 0 and 1 is two classes, and several columns without class labels are a regression.
  ///   - threshold: The probability of the second of two classes, or of each label, above which it is
  ///     predicted, 0 … 1.
  /// - Throws: `ChainruleError.shapeMismatch` for another number of outputs, `.notFinite` for an output that
  ///   is NaN or infinite, `.invalidValue` for a threshold outside 0 … 1, or for one other than ½ if the task
  ///   does not use it.
  public init<Scalar: NetworkScalar>(
    loss: Double, outputs: [Scalar], dataset: Dataset<Scalar>, activation: Activation? = nil,
    threshold: Double = 0.5
  ) throws(ChainruleError) {
    var sum = try EvaluationSum(activation: activation, threshold: threshold)
    try sum.add(loss: loss, outputs: outputs, of: dataset)
    self = try sum.evaluation(exactLoss: loss)
  }

  /// Computes the metrics from the sums over all rows.
  init(
    rows: Int, loss: Double, confusionMatrix: ConfusionMatrix?, multilabel: MultilabelConfusion?,
    absolute: Double, relative: Double, columns: [EvaluationSum.Column]
  ) {
    self.rows = rows
    self.loss = loss
    self.confusionMatrix = confusionMatrix
    self.multilabel = multilabel
    accuracy = confusionMatrix.map { Double($0.correct) / Double(rows) } ?? .nan
    let values = Double(rows * columns.count)
    func mean(_ metric: (EvaluationSum.Column) -> Double) -> Double {
      columns.reduce(0) { $0 + metric($1) } / Double(columns.count)
    }
    func explained(_ rest: Double, of variation: Double) -> Double {
      variation > 0 ? 1 - rest / variation : rest == 0 ? 1 : 0
    }
    meanAbsoluteError = absolute / values
    meanAbsolutePercentageError = confusionMatrix == nil && multilabel == nil ? relative / values : .nan
    rootMeanSquaredError = mean { ($0.residual / Double(rows)).squareRoot() }
    r2 = rows > 1 ? mean { explained($0.residual, of: $0.targets.scatter) } : .nan
    explainedVariance = mean { explained($0.errors.scatter, of: $0.targets.scatter) }
  }
}

extension Evaluation: CustomStringConvertible {
  /// One line: "loss 0.0812, accuracy 97.5 %", "loss 0.214, subset accuracy 71.0 %, micro F1 0.834", or for a
  /// regression "loss 0.0812, MAE 0.21, RMSE 0.285, R² 0.913".
  public var description: String {
    let loss = "loss \(significant(loss))"
    if confusionMatrix != nil { return "\(loss), accuracy \(percent(accuracy))" }
    if let multilabel {
      return "\(loss), subset accuracy \(percent(multilabel.subsetAccuracy)), "
        + "micro F1 \(significant(multilabel.f1(.micro)))"
    }
    return "\(loss), MAE \(significant(meanAbsoluteError)), RMSE \(significant(rootMeanSquaredError)), "
      + "R² \(r2.isNaN ? "–" : significant(r2))"
  }
}

/// Throws if `outputs` are not finite, or not rows × outputs of `dataset`.
@_specialize(where Scalar == Float)
@_specialize(where Scalar == Double)
func checkOutputs<Scalar: NetworkScalar>(
  _ outputs: [Scalar], of dataset: Dataset<Scalar>
) throws(ChainruleError) {
  let (rows, columns) = (dataset.rows, dataset.outputs)
  guard outputs.count == rows * columns else {
    throw .shapeMismatch(what: "outputs", expected: rows * columns, actual: outputs.count)
  }
  if let index = outputs.firstIndex(where: { !$0.isFinite }) {
    throw .notFinite(
      quantity: "outputs", layer: nil, step: nil,
      message: "output \(index % columns + 1) of row \(index / columns + 1) is \(outputs[index])")
  }
}

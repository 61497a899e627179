import Chainrule

/// The evaluations of a k-fold cross-validation, each on the validation rows of its fold.
struct CrossValidation: Sendable {
  let loss: Loss
  var evaluations: [Evaluation] = []

  /// A line a fold, then the mean and the standard deviation over the folds, of which there are at least 2.
  var summary: [(name: String, value: String)] {
    let folds = zip(1..., evaluations).map { number, evaluation in
      (name: "fold \(number)", value: evaluation.summary(loss: loss))
    }
    guard evaluations.count > 1 else { return folds }
    let isOfClasses = evaluations[0].confusionMatrix != nil
    let figure = isOfClasses ? spread(of: \.accuracy, percent) : spread(of: \.r2, short)
    return folds + [
      (
        "mean",
        "\(isOfClasses ? "accuracy" : "R²") \(figure), \(loss.rawValue) \(spread(of: \.loss, short))"
      )
    ]
  }

  /// mean and √(Σ (x - mean)² / (k - 1)); NaN where a fold has no such figure, as R² of one row.
  func spread(of figure: KeyPath<Evaluation, Double>) -> (mean: Double, deviation: Double) {
    let values = evaluations.map { $0[keyPath: figure] }
    let mean = values.reduce(0, +) / Double(values.count)
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (mean, (squares / Double(values.count - 1)).squareRoot())
  }

  /// "0.9132 ± 0.0208"; "–" for NaN.
  private func spread(of figure: KeyPath<Evaluation, Double>, _ text: (Double) -> String) -> String {
    let (mean, deviation) = spread(of: figure)
    return mean.isFinite ? "\(text(mean)) ± \(text(deviation))" : "–"
  }
}

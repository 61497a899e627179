import Chainrule

extension Evaluation {
  /// The figures besides the loss that fit the task, by the names that JSON uses.
  var metrics: KeyValuePairs<String, Double> {
    if let confusionMatrix {
      return [
        "accuracy": accuracy, "balancedAccuracy": confusionMatrix.balancedAccuracy,
        "macroF1": confusionMatrix.f1(.macro),
      ]
    }
    return [
      "meanAbsoluteError": meanAbsoluteError, "rootMeanSquaredError": rootMeanSquaredError, "r2": r2,
      "explainedVariance": explainedVariance,
    ]
  }

  /// One line: "accuracy 97.5 % (351 of 360 rows), balanced accuracy 97.4 %, macro F1 0.9745, crossEntropy 0.0812".
  func summary(loss name: Loss) -> String {
    let lossText = "\(name.rawValue) \(short(loss))"
    if let confusionMatrix {
      return
        "accuracy \(percent(accuracy)) (\(confusionMatrix.correct) of \(counted(rows, "row"))), "
        + "balanced accuracy \(percent(confusionMatrix.balancedAccuracy)), "
        + "macro F1 \(short(confusionMatrix.f1(.macro))), \(lossText)"
    }
    return
      "MAE \(short(meanAbsoluteError)), RMSE \(short(rootMeanSquaredError)), R² \(short(r2)), "
      + "explained variance \(short(explainedVariance)), \(lossText) (\(counted(rows, "row")))"
  }

  /// The confusion matrix after a blank line; nothing for a regression.
  var details: String { confusionMatrix.map { "\n\($0)\n" } ?? "" }

  /// One object, the matrix as rows of the actual classes. `skippedRows` are the bad rows left out; nil: none was to be.
  func json(skippedRows: Int?) -> JSON {
    var members: [(key: String, value: JSON?)] = [
      ("rows", .integer(rows)), ("skippedRows", skippedRows.map(JSON.integer)), ("loss", .number(loss)),
    ]
    for (name, value) in metrics { members.append((name, .number(value))) }
    if let confusionMatrix {
      let classes = confusionMatrix.classLabels.indices
      members.append(("classes", .strings(confusionMatrix.classLabels)))
      let counts = classes.map { actual in
        JSON.array(classes.map { .integer(confusionMatrix[actual: actual, predicted: $0]) })
      }
      members.append(("confusionMatrix", .array(counts)))
    }
    return .object(members)
  }
}

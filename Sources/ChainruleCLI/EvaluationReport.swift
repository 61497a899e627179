import Chainrule

extension Evaluation {
  /// The figures besides the loss that fit the task, by the names that JSON uses.
  var metrics: KeyValuePairs<String, Double> {
    confusionMatrix == nil
      ? [
        "meanAbsoluteError": meanAbsoluteError, "rootMeanSquaredError": rootMeanSquaredError, "r2": r2,
      ] : ["accuracy": accuracy]
  }

  /// One line: "accuracy 97.5 % (351 of 360 rows), crossEntropy 0.0812".
  func summary(loss name: Loss) -> String {
    let lossText = "\(name.rawValue) \(short(loss))"
    if let confusionMatrix {
      return
        "accuracy \(percent(accuracy)) (\(confusionMatrix.correct) of \(counted(rows, "row"))), \(lossText)"
    }
    return
      "MAE \(short(meanAbsoluteError)), RMSE \(short(rootMeanSquaredError)), R² \(short(r2)), \(lossText) "
      + "(\(counted(rows, "row")))"
  }

  /// The confusion matrix after a blank line; nothing for a regression.
  var details: String { confusionMatrix.map { "\n\($0)\n" } ?? "" }

  /// One object, the matrix as rows of the actual classes.
  var json: JSON {
    var members: [(key: String, value: JSON?)] = [("rows", .integer(rows)), ("loss", .number(loss))]
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

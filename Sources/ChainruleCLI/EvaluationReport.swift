import Chainrule
import Foundation

/// The most classes, labels or pairs in a table on a terminal.
private let mostLines = 20
/// The columns of a terminal that tables of classes are made to fit.
private let terminalWidth = 80

// MARK: - An evaluation, for training and evaluating

extension Evaluation {
  /// The figures besides the loss that fit the task, by the names that JSON uses.
  var metrics: KeyValuePairs<String, Double> {
    if let confusionMatrix {
      return [
        "accuracy": accuracy, "balancedAccuracy": confusionMatrix.balancedAccuracy,
        "macroF1": confusionMatrix.f1(.macro),
      ]
    }
    if let multilabel {
      return [
        "subsetAccuracy": multilabel.subsetAccuracy, "hammingLoss": multilabel.hammingLoss,
        "microF1": multilabel.f1(.micro), "macroF1": multilabel.f1(.macro),
        "samplesF1": multilabel.f1(.samples),
      ]
    }
    return [
      "meanAbsoluteError": meanAbsoluteError, "rootMeanSquaredError": rootMeanSquaredError, "r2": r2,
      "explainedVariance": explainedVariance,
    ]
  }

  /// One line: "accuracy 97.5 % (351 of 360 rows), balanced accuracy 97.4 %, macro F1 0.9745, crossEntropy
  /// 0.0812".
  func summary(loss name: Loss) -> String {
    let lossText = "\(name.rawValue) \(short(loss))"
    if let confusionMatrix {
      return
        "accuracy \(percent(accuracy)) (\(confusionMatrix.correct) of \(counted(rows, "row"))), "
        + "balanced accuracy \(percent(confusionMatrix.balancedAccuracy)), "
        + "macro F1 \(short(confusionMatrix.f1(.macro))), \(lossText)"
    }
    if let multilabel {
      return
        "subset accuracy \(percent(multilabel.subsetAccuracy)), Hamming loss \(short(multilabel.hammingLoss)), "
        + "micro F1 \(short(multilabel.f1(.micro))), macro F1 \(short(multilabel.f1(.macro))), "
        + "samples F1 \(short(multilabel.f1(.samples))), \(lossText) (\(counted(rows, "row")))"
    }
    return
      "MAE \(short(meanAbsoluteError)), RMSE \(short(rootMeanSquaredError)), R² \(r2.isNaN ? "–" : short(r2)), "
      + "explained variance \(short(explainedVariance)), \(lossText) (\(counted(rows, "row")))"
  }

  /// The confusion matrix after a blank line, of more than 20 classes the most confused pairs; nothing for a
  /// model without classes.
  func details() throws(ChainruleError) -> String {
    guard let confusionMatrix else { return "" }
    let isSmall = confusionMatrix.classLabels.count <= mostLines
    return "\n" + (isSmall ? try matrix(confusionMatrix) : pairs(confusionMatrix))
  }
}

/// The matrix as a table in 80 columns where the counts let it: with long names abbreviated, or with the
/// classes numbered.
private func matrix(_ matrix: ConfusionMatrix) throws(ChainruleError) -> String {
  let recalls = try matrix.classLabels.indices.map { label throws(ChainruleError) in
    try matrix.recall(of: label)
  }
  let names = matrix.classLabels.map { $0.escaped(for: .terminal) }
  let classes = names.indices
  func lines(corner: String, rows: [String], columns: [String], gap: Int = 2) -> [String] {
    let body = classes.map { actual in
      [rows[actual]] + classes.map { "\(matrix[actual: actual, predicted: $0])" }
        + [percentOrDash(recalls[actual])]
    }
    return aligned([[corner] + columns + ["recall"]] + body, gap: gap)
  }
  func fits(_ lines: [String]) -> Bool { lines.allSatisfy { $0.unicodeScalars.count <= terminalWidth } }

  var table = lines(corner: "actual \\ predicted", rows: names, columns: names)
  for width in stride(from: 32, through: 4, by: -1) where !fits(table) {
    let short = names.map { abbreviated($0, to: width) }
    guard Set(short).count == Set(names).count else { break }
    table = lines(corner: "actual", rows: short, columns: short)
  }
  for (width, gap) in [(16, 2), (8, 2), (8, 1)] where !fits(table) {
    let numbers = classes.map { "\($0 + 1)" }
    let rows = zip(numbers, names).map { "\($0) \(abbreviated($1, to: width))" }
    table = lines(corner: "actual", rows: rows, columns: numbers, gap: gap)
  }
  return table.joined(separator: "\n") + "\n"
}

/// The most confused pairs of a matrix that is too large to print.
private func pairs(_ matrix: ConfusionMatrix) -> String {
  let found = matrix.mostConfused(mostLines)
  let whole = "\"chainrule evaluate --json\" prints the whole confusion matrix"
  let classes = "\(matrix.classLabels.count) classes"
  if found.isEmpty { return "\(classes), and no row is predicted wrongly; \(whole)\n" }
  let names = matrix.classLabels
  func name(_ label: Int) -> String { abbreviated(names[label].escaped(for: .terminal), to: 30) }
  let rows = found.map { [name($0.actual), name($0.predicted), "\($0.count)"] }
  return "\(classes); the \(found.count) most confused pairs (\(whole)):\n"
    + aligned([["actual", "predicted", "rows"]] + rows, leading: 2).joined(separator: "\n") + "\n"
}

// MARK: - A report, for evaluating

extension EvaluationReport {
  /// All figures for a person: lines, then tables of at most 20 classes or labels.
  func text(loss: Loss) throws -> String {
    var lines = [evaluation.summary(loss: loss)]
    if let classScores { lines += figures(classScores) }
    if let labelScores {
      let uncertainty = bound(labelScores.areaUnderROCUncertainty)
      lines.append(
        "macro ROC AUC \(figure(labelScores.macroAreaUnderROC))\(uncertainty), threshold \(threshold)")
    }
    if !medianAbsoluteError.isNaN {
      let uncertainty = bound(medianAbsoluteErrorUncertainty)
      lines.append("median absolute error \(short(medianAbsoluteError))\(uncertainty)")
    }
    return try lines.joined(separator: "\n") + "\n" + table() + evaluation.details()
  }

  private func figures(_ scores: ClassScores) -> [String] {
    let isBinary = scores.classLabels.count == 2
    var line = [
      "\(isBinary ? "" : "macro ")ROC AUC \(figure(scores.areaUnderROC(.macro)))"
        + bound(scores.areaUnderROCUncertainty)
    ]
    if isBinary {
      let uncertainty = bound(scores.averagePrecisionUncertainty)
      line.append("average precision \(figure(scores.averagePrecision))\(uncertainty)")
    }
    if scores.areProbabilities { line.append("log loss \(short(scores.logLoss))") }
    if isBinary, scores.areProbabilities { line.append("Brier score \(short(scores.brierScore))") }
    if let calibration = scores.calibration {
      line.append("calibration error (ECE) \(short(calibration.expectedError))")
    }
    var lines = [line.joined(separator: ", ")]
    if let best = scores.bestF1 {
      let name = abbreviated(scores.classLabels[1].escaped(for: .terminal), to: 30)
      lines.append(
        "threshold \(threshold); the best F1 of \"\(name)\" is \(short(best.f1)), at --threshold \(best.threshold)"
      )
    }
    return lines
  }

  /// Precision, recall, F1 and support of each class or label after a blank line; nothing for a regression.
  private func table() throws -> String {
    let rows = try rows()
    guard !rows.isEmpty else { return "" }
    guard rows.count <= mostLines else {
      let what = labelScores == nil && evaluation.multilabel == nil ? "class" : "label"
      return
        "\nprecision, recall and F1 of each of the \(rows.count) \(what)\(what == "class" ? "es" : "s"): --json\n"
    }
    let isRanked = labelScores != nil
    let header = ["", "precision", "recall", "F1"] + (isRanked ? ["ROC AUC"] : []) + ["support"]
    let body = rows.map { row in
      [
        abbreviated(row.name.escaped(for: .terminal), to: 36), percentOrDash(row.precision),
        percentOrDash(row.recall),
      ]
        + [figure(row.f1)] + (isRanked ? [figure(row.area)] : []) + ["\(row.support)"]
    }
    return "\n" + aligned([header] + body).joined(separator: "\n") + "\n"
  }

  private typealias Row = (
    name: String, precision: Double, recall: Double, f1: Double, area: Double, support: Int
  )

  /// The figures of each class or label.
  private func rows() throws -> [Row] {
    if let matrix = evaluation.confusionMatrix {
      return try matrix.classLabels.enumerated().map { label, name in
        (
          name, try matrix.precision(of: label), try matrix.recall(of: label), try matrix.f1(of: label),
          try classScores?.areaUnderROC(of: label) ?? .nan, try matrix.support(of: label)
        )
      }
    }
    guard let multilabel = evaluation.multilabel else { return [] }
    return try multilabel.labels.enumerated().map { label, name in
      (
        name, try multilabel.precision(of: label), try multilabel.recall(of: label),
        try multilabel.f1(of: label), try labelScores?.areaUnderROC(of: label) ?? .nan,
        try multilabel.support(of: label)
      )
    }
  }

  /// One object. `skippedRows` are the bad rows left out; nil: --skip-bad-rows was not given.
  func json(skippedRows: Int?, importance: JSON?) throws -> JSON {
    var members: [(key: String, value: JSON?)] = [
      ("rows", .integer(evaluation.rows)), ("skippedRows", skippedRows.map(JSON.integer)),
      ("loss", .number(evaluation.loss)),
    ]
    for (name, value) in evaluation.metrics { members.append((name, .number(value))) }
    members += [
      ("medianAbsoluteError", .number(medianAbsoluteError)),
      ("medianAbsoluteErrorUncertainty", uncertainty(medianAbsoluteErrorUncertainty)),
    ]
    if let classScores { members += self.members(classScores) }
    if let labelScores {
      members += [
        ("areaUnderROC", .number(labelScores.macroAreaUnderROC)),
        ("areaUnderROCUncertainty", uncertainty(labelScores.areaUnderROCUncertainty)),
        ("threshold", .number(threshold)),
      ]
    }
    let key = evaluation.multilabel == nil ? "class" : "label"
    let each = try rows().map { row in
      JSON.object([
        (key, .string(row.name)), ("precision", .number(row.precision)), ("recall", .number(row.recall)),
        ("f1", .number(row.f1)), ("areaUnderROC", .number(row.area)), ("support", .integer(row.support)),
      ])
    }
    if !each.isEmpty { members.append((key == "class" ? "perClass" : "perLabel", .array(each))) }
    if let matrix = evaluation.confusionMatrix {
      members.append(("classes", .strings(matrix.classLabels)))
      members.append(
        matrix.classLabels.count <= 4096
          ? ("confusionMatrix", whole(matrix)) : ("confusionCounts", sparse(matrix)))
    }
    members.append(("importance", importance))
    return .object(members)
  }

  private func members(_ scores: ClassScores) -> [(key: String, value: JSON?)] {
    let bestF1 = scores.bestF1.map {
      JSON.object([("threshold", .number($0.threshold)), ("f1", .number($0.f1))])
    }
    let calibration = scores.calibration.map { calibration in
      JSON.array(
        calibration.bins.map {
          .object([
            ("lower", .number($0.lower)), ("upper", .number($0.upper)), ("rows", .integer($0.rows)),
            ("confidence", .number($0.confidence)), ("accuracy", .number($0.accuracy)),
          ])
        })
    }
    let hasThreshold = scores.areProbabilities && scores.classLabels.count == 2
    return [
      ("areaUnderROC", .number(scores.areaUnderROC(.macro))),
      ("areaUnderROCUncertainty", uncertainty(scores.areaUnderROCUncertainty)),
      ("averagePrecision", .number(scores.averagePrecision)),
      ("averagePrecisionUncertainty", uncertainty(scores.averagePrecisionUncertainty)),
      ("logLoss", .number(scores.logLoss)), ("brierScore", .number(scores.brierScore)),
      ("threshold", hasThreshold ? .number(threshold) : nil), ("bestF1", bestF1),
      ("expectedCalibrationError", scores.calibration.flatMap { .number($0.expectedError) }),
      ("calibration", calibration),
    ]
  }
}

/// The counts as rows of the actual classes. Text at once: millions of JSON values would take much more
/// memory.
private func whole(_ matrix: ConfusionMatrix) -> JSON {
  let classes = matrix.classLabels.count
  var rows: [String] = []
  rows.reserveCapacity(classes)
  var counts = matrix.nonzeroCounts[...]
  for actual in 0..<classes {
    var row = [String](repeating: "0", count: classes)
    while let next = counts.first, next.actual == actual {
      row[next.predicted] = "\(next.count)"
      counts.removeFirst()
    }
    rows.append("[\(row.joined(separator: ", "))]")
  }
  return .literal("[\(rows.joined(separator: ", "))]")
}

/// The counts above 0 as [actual, predicted, count], with the classes counted from 0.
private func sparse(_ matrix: ConfusionMatrix) -> JSON {
  let cells = matrix.nonzeroCounts.map { "[\($0.actual), \($0.predicted), \($0.count)]" }
  return .literal("[\(cells.joined(separator: ", "))]")
}

/// A number that is left out while it is 0.
private func uncertainty(_ value: Double) -> JSON? { value > 0 ? .number(value) : nil }

// MARK: - Importance

extension PermutationImportance {
  /// The groups by descending mean drop; equal ones in their order.
  private var ordered: [Group] {
    groups.enumerated().sorted { ($1.element.mean, $0.offset) < ($0.element.mean, $1.offset) }.map(\.element)
  }

  /// The 30 most important groups as a table after a blank line.
  var text: String {
    let shown = ordered.prefix(30)
    let rows = shown.map { group in
      [
        abbreviated(group.name.escaped(for: .terminal), to: 40), short(group.mean),
        "\(short(group.lower)) … \(short(group.upper))",
      ]
    }
    let rest =
      groups.count > shown.count
      ? "the \(shown.count) most important of \(groups.count) columns; --json has all\n" : ""
    let what =
      switch metric {
      case .logLoss: "rise of the log loss"
      case .accuracy: "drop of the accuracy"
      case .r2: "drop of R²"
      }
    return "\n" + aligned([["permuted column", what, "95 % interval"]] + rows).joined(separator: "\n")
      + "\n\(rest)"
  }

  /// An object: the metric, its score, the number of repeats and every group by descending mean drop.
  var json: JSON {
    let groups = ordered.map { group in
      JSON.object([
        ("name", .string(group.name)), ("features", .array(group.features.map { .integer($0 + 1) })),
        ("mean", .number(group.mean)), ("lower", .number(group.lower)), ("upper", .number(group.upper)),
      ])
    }
    return .object([
      ("metric", .string(metric.rawValue)), ("score", .number(score)),
      ("repeats", groups.isEmpty ? nil : .integer(self.groups[0].drops.count)), ("columns", .array(groups)),
    ])
  }
}

// MARK: - Text

/// " ± 0.0000031" for a figure that is not exact; nothing for one that is.
private func bound(_ uncertainty: Double) -> String { uncertainty > 0 ? " ± \(short(uncertainty))" : "" }

/// A fraction in percent; "–" for NaN.
private func percentOrDash(_ fraction: Double) -> String { fraction.isNaN ? "–" : percent(fraction) }

/// A number to four significant digits; "–" for NaN.
private func figure(_ value: Double) -> String { value.isNaN ? "–" : short(value) }

/// Rows as lines, `gap` spaces between the columns: the first `leading` columns are aligned to the left, the
/// rest to the right. A Unicode scalar counts as one column.
private func aligned(_ rows: [[String]], leading: Int = 1, gap: Int = 2) -> [String] {
  let widths = rows[0].indices.map { column in rows.map { $0[column].unicodeScalars.count }.max() ?? 0 }
  return rows.map { row in
    row.indices.map { column in
      let padding = String(repeating: " ", count: widths[column] - row[column].unicodeScalars.count)
      return column < leading ? row[column] + padding : padding + row[column]
    }.joined(separator: String(repeating: " ", count: gap))
  }
}

import Chainrule

// What `train --json` prints: the lines of the text as members of one object.

extension TrainingPlan {
  /// The data, the network and the training.
  private func setting(heldOut: Int?) -> [(key: String, value: JSON?)] {
    let rows = buffer == nil ? data.rows : trained.rowCount
    let layers = design.fixed.map(\.layer) + design.layers
    let method: [(key: String, value: JSON?)] =
      if let method = fullBatch.method {
        [("method", .string(method.name)), ("iterations", .integer(fullBatch.iterationBound))]
      } else {
        [
          ("optimizer", .string(recipe.optimizer.name)),
          ("learningRate", .number(recipe.optimizer.learningRate)), ("batchSize", .integer(recipe.batchSize)),
          ("epochs", .integer(recipe.epochs)), ("patience", patience.map(JSON.integer)),
        ]
      }
    return [
      (
        "data",
        .object([
          ("rows", rows.map(JSON.integer)), ("heldOut", heldOut.map(JSON.integer)),
          ("inputs", .integer(data.inputs)), ("outputs", .integer(data.outputs)),
          ("classes", data.classLabels.map(JSON.strings)),
        ])
      ),
      (
        "network",
        .object([
          ("layers", .strings(layers.map(\.description))),
          ("scalesTargets", .bool(design.targetScaling != nil)),
          ("scalar", .string(Scalar.scalarType.rawValue)),
        ])
      ),
      (
        "training",
        .object(
          [("loss", .string(loss.rawValue))] + method + [("seed", .literal("\(training.seed)"))])
      ),
    ]
  }

  /// One object about a run; `evaluation` is of the rows held out, or of those trained on where none are.
  func json(_ result: TrainingResult<Scalar>, _ evaluation: Evaluation?, savedAs path: String?) -> JSON {
    let heldOut = heldOut.map { $0.rowCount } ?? 0
    return .object(
      setting(heldOut: heldOut) + [
        (
          "result",
          .object([
            (fullBatch.method == nil ? "epochs" : "iterations", .integer(result.completed)),
            ("seconds", .number(result.seconds)), ("loss", result.loss.flatMap { .number($0) }),
            ("interrupted", .bool(result.isInterrupted)),
            ("failure", (result.failure?.message).map(JSON.string)),
          ])
        ),
        (self.heldOut == nil ? "trainedOn" : "validation", evaluation?.json),
        ("model", path.map(JSON.string)),
      ])
  }

  /// One object about a cross-validation.
  func json(_ validation: CrossValidation) -> JSON {
    let evaluations = validation.evaluations
    var spreads: [(key: String, value: JSON?)] = []
    if evaluations.count > 1 {
      let figures =
        [("loss", \Evaluation.loss)] + (data.classLabels == nil ? [("r2", \.r2)] : [("accuracy", \.accuracy)])
      let found = figures.map { ($0.0, validation.spread(of: $0.1)) }
      spreads = [
        ("mean", .object(found.map { ($0.0, .number($0.1.mean)) })),
        ("standardDeviation", .object(found.map { ($0.0, .number($0.1.deviation)) })),
      ]
    }
    return .object(setting(heldOut: nil) + [("folds", .array(evaluations.map(\.json)))] + spreads)
  }
}

extension Evaluation {
  /// The rows, the loss and the metrics.
  fileprivate var json: JSON {
    .object(
      [("rows", .integer(rows)), ("loss", .number(loss))] + metrics.map { ($0.key, .number($0.value)) })
  }
}

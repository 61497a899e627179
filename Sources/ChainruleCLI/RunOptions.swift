import Chainrule

extension TrainCommand {
  /// The options about rows and columns that change the result of a run, for its checkpoints. The library
  /// adds the network, the training options, the names and the hash of the data.
  var runDescription: RunDescription {
    var run = RunDescription()
    run["--target"] = list(target.targets)
    run["--task"] = "\(columns.task)"
    run["--preset"] = preset.rawValue
    for (option, columns) in [
      ("--ignore", columns.ignored), ("--only", columns.only), ("--keep", columns.kept),
      ("--categorical", columns.categorical), ("--missing-values", columns.missingValues),
    ] {
      run[option] = list(columns.flatMap(\.self))
    }
    run["--weights"] = columns.rows.weights
    run["--missing"] = columns.missing.map { "\($0)" }
    run["--unknown"] = columns.unknown?.rawValue
    run["--decimal"] = columns.decimal.map(String.init)
    run["--thousands"] = columns.thousands.map(String.init)
    run["--skip-bad-rows"] = columns.rows.skipBadRows ? "given" : nil
    run["--validation"] = partition.validation.map { "\($0)" }
    // Classes are stratified by default, and only they can be.
    run["--stratified"] = partition.stratified == false ? "false" : nil
    run["--validation-data"] = partition.validationData == nil ? nil : "given"
    run["--class-weights"] = training.classWeights.map { "\($0)" }
    run["--initial-weights"] = network.initialWeights == nil ? nil : "given"
    run["--stream"] = streaming.stream ? "given" : nil
    return run
  }

  private func list(_ names: [String]) -> String? { names.isEmpty ? nil : names.joined(separator: ",") }
}

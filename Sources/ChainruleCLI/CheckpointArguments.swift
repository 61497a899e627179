import ArgumentParser
import Chainrule
import Foundation

/// Checkpoints of a training run, and the one from which it goes on.
struct CheckpointArguments: ParsableArguments {
  @Option(
    name: .customLong("checkpoint"),
    help: ArgumentHelp(
      "Leave checkpoints in this folder, from which training can go on as if it had never been stopped. There is one at "
        + "the end too, and after Ctrl-C.",
      valueName: "folder"))
  var folder: String?

  @Option(
    name: .customLong("checkpoint-every"),
    help: ArgumentHelp(
      "How often, in epochs, or as 500steps in updates. (default: 1)", valueName: "count"),
    transform: Checkpoints.Interval.init(parsing:))
  var interval: Checkpoints.Interval?

  @Option(
    name: .customLong("checkpoint-keep"),
    help: ArgumentHelp("How many of the newest stay. (default: 3)", valueName: "count"))
  var kept: Int?

  @Flag(
    name: .customLong("checkpoint-may-fail"),
    help: "Train on where a checkpoint cannot be written, and say so. By default that ends training.")
  var mayFail = false

  @Option(
    defaultAsFlag: "",
    help: ArgumentHelp(
      "Go on from a checkpoint, or from the newest of a folder, without a value from that of --checkpoint, where there may "
        + "be none yet. The data and the other options are to be those of before; --epochs and --patience count from the "
        + "run's beginning.",
      valueName: "checkpoint"))
  var resume: String?

  func validate() throws {
    try require("--checkpoint-keep", kept, "at least 1") { $0 >= 1 }
    for (option, isGiven) in [
      ("--checkpoint-every", interval != nil), ("--checkpoint-keep", kept != nil),
      ("--checkpoint-may-fail", mayFail), ("--resume", resume == ""),
    ] where isGiven && folder == nil {
      let instead = option == "--resume" ? ", or the checkpoint to go on from" : ""
      throw ValidationError("\(option) needs --checkpoint\(instead)")
    }
  }

  /// Refuses what trains more than one network, and what trains without batches.
  func check(_ partition: PartitionArguments, _ fullBatch: FullBatchArguments) throws(ValidationError) {
    guard let option = folder != nil ? "--checkpoint" : resume != nil ? "--resume" : nil else { return }
    if partition.folds != nil { throw ValidationError("\(option) does not go with --folds") }
    if fullBatch.method != nil {
      throw ValidationError(
        "\(option) does not go with --full-batch, which goes on from a saved model as well")
    }
  }

  var checkpoints: Checkpoints? {
    folder.map {
      Checkpoints(in: $0, every: interval ?? .epochs(1), keeping: kept ?? 3, goesOnAfterFailure: mayFail)
    }
  }

  /// The checkpoint to go on from; nil: from the beginning.
  func resumed() throws(ChainruleError) -> String? {
    guard let resume else { return nil }
    if resume.isEmpty {
      let newest = try checkpoints?.newest()
      if newest == nil, let folder { Output.note("chainrule: there is no checkpoint in \(folder) yet\n") }
      return newest
    }
    guard fileKind(resume) == S_IFDIR else { return resume }
    guard let newest = try Checkpoints(in: resume).newest() else {
      throw .file(path: resume, reason: "there is no checkpoint in this folder")
    }
    return newest
  }
}

extension Checkpoints.Interval {
  /// "5", epochs, or "500steps"
  init(parsing text: String) throws {
    let isSteps = text.hasSuffix("steps")
    guard let count = Int(isSteps ? text.dropLast(5) : text[...]), count >= 1 else {
      throw ValidationError("expected a number of epochs of at least 1, or of updates such as 500steps")
    }
    self = isSteps ? .steps(count) : .epochs(count)
  }
}

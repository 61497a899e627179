import ArgumentParser
import Chainrule
import Foundation

/// The checkpoints of a training run, and the one from which it resumes.
struct CheckpointArguments: ParsableArguments {
  @Option(
    name: .customLong("checkpoint"),
    help: ArgumentHelp(
      "Save checkpoints in this folder. A run that resumes from one gives the same model as a run that was never "
        + "interrupted. Training also saves one at its end and after Ctrl-C. A folder holds the checkpoints of one run.",
      valueName: "folder"))
  var folder: String?

  @Option(
    name: .customLong("checkpoint-every"),
    help: ArgumentHelp(
      "Save a checkpoint after this many epochs, or after this many updates, as in 500steps. Default: 1.",
      valueName: "count"),
    transform: Checkpoints.Interval.init(parsing:))
  var interval: Checkpoints.Interval?

  @Option(
    name: .customLong("checkpoint-keep"),
    help: ArgumentHelp("Number of newest checkpoints to keep. Default: 3.", valueName: "count"))
  var kept: Int?

  @Flag(
    name: .customLong("checkpoint-may-fail"),
    help:
      "Print a warning and continue if a checkpoint cannot be written. Default: training ends with an error.")
  var mayFail = false

  @Option(
    defaultAsFlag: "",
    help: ArgumentHelp(
      "Resume from a checkpoint, or from the newest one in a folder; without a value, from the newest one in the folder "
        + "of --checkpoint, if there is one. The data and the options must be the same as in that run, except "
        + "--epochs, --patience, --until-loss, --threads, --save and --log. --epochs and --patience count from the start "
        + "of that run.",
      valueName: "checkpoint"))
  var resume: String?

  func validate() throws {
    try require("--checkpoint-keep", kept, "at least 1") { $0 >= 1 }
    for (option, isGiven) in [
      ("--checkpoint-every", interval != nil), ("--checkpoint-keep", kept != nil),
      ("--checkpoint-may-fail", mayFail), ("--resume", resume == ""),
    ] where isGiven && folder == nil {
      let instead = option == "--resume" ? ", or the checkpoint to resume from" : ""
      throw ValidationError("\(option) needs --checkpoint\(instead)")
    }
  }

  /// Refuses what trains more than one network, and what trains without batches.
  func check(_ partition: PartitionArguments, _ fullBatch: FullBatchArguments) throws(ValidationError) {
    guard let option = folder != nil ? "--checkpoint" : resume != nil ? "--resume" : nil else { return }
    if partition.folds != nil { throw ValidationError("\(option) and --folds cannot be combined") }
    if fullBatch.method != nil {
      throw ValidationError(
        "\(option) and --full-batch cannot be combined: full-batch training has no checkpoints")
    }
  }

  var checkpoints: Checkpoints? {
    folder.map {
      Checkpoints(in: $0, every: interval ?? .epochs(1), keeping: kept ?? 3, continuesOnFailure: mayFail)
    }
  }

  /// The checkpoint to resume from; nil: training starts from the beginning. Says on standard error which
  /// damaged checkpoints are passed over.
  ///
  /// - Throws: `Failure` for a new run in a folder that has checkpoints.
  func resumed() throws -> String? {
    func newest(in checkpoints: Checkpoints) throws(ChainruleError) -> String? {
      try checkpoints.newest { damaged in
        Output.say("\(damaged); resuming from the checkpoint before it")
      }
    }
    guard let resume else {
      guard let folder, let newest = try checkpoints?.newest() else { return nil }
      throw Failure(
        message:
          "\(folder): this folder has checkpoints of another run, the newest \(newest). Add --resume to continue that run, "
          + "or choose another folder", exitCode: .failure)
    }
    if resume.isEmpty {
      let newest = try checkpoints.flatMap(newest)
      if newest == nil, let folder { Output.say("there is no checkpoint in \(folder) yet") }
      return newest
    }
    guard fileKind(resume) == S_IFDIR else { return resume }
    guard let newest = try newest(in: Checkpoints(in: resume)) else {
      throw ChainruleError.file(path: resume, reason: "there is no checkpoint in this folder")
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

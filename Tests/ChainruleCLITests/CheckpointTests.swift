import Foundation
import Testing

@Suite("train with checkpoints")
struct CheckpointCommandTests {
  private let place: Workplace
  private let options = [
    "train", "iris", "--hidden", "8", "--epochs", "12", "--patience", "5", "--optimizer", "adam", "--dropout",
    "0.1",
    "--normalization", "batch", "--schedule", "plateau", "--schedule-patience", "1", "--quiet",
  ]

  init() throws { place = try Workplace() }

  private func train(_ more: String...) throws -> Ended { try place.chainrule(options + more) }

  @Test func `a run that goes on ends in the bytes of one that never stopped`() throws {
    #expect(try train("--save", "whole").status == 0)
    // 4 updates an epoch: a checkpoint in the middle of the third, as one has it whose process was killed.
    let killed = try train("--checkpoint", "run", "--checkpoint-every", "10steps", "--checkpoint-keep", "100")
    #expect(killed.status == 0)
    let names = try place.names("run")
    #expect(names.count > 3 && names.first == "checkpoint-000000000010.safetensors")
    for name in names.dropFirst() { try place.remove("run/" + name) }
    let resumed = try train("--checkpoint", "run", "--resume", "--save", "resumed", "--log", "log")
    #expect(resumed.status == 0)
    #expect(try place.bytes("resumed") == place.bytes("whole"))
    #expect(try jsonLines(place.read("log")).first?["epoch"] as? Int == 3)
    // The newest is of a run that has ended; the model is the same again.
    let again = try train("--resume", "run", "--save", "again")
    #expect(again.status == 0 && again.output.contains("the checkpoint is of a run that had ended"))
    #expect(try place.bytes("again") == place.bytes("whole"))
  }

  @Test func `a checkpoint is a model`() throws {
    #expect(try train("--checkpoint", "run").status == 0)
    let names = try place.names("run")
    #expect(names.count == 3)
    #expect(try place.chainrule(["evaluate", "run/" + names[2], "iris", "--json"]).status == 0)
  }

  @Test func `without a checkpoint yet, training begins`() throws {
    let ended = try train("--checkpoint", "run", "--resume")
    #expect(ended.status == 0)
    #expect(ended.errors == "chainrule: there is no checkpoint in run yet\n")
  }

  @Test func `Ctrl-C leaves a checkpoint, from which training goes on`() throws {
    let run = try place.start(
      ["train", "digits", "--epochs", "1000000", "--checkpoint", "run", "--checkpoint-every", "1000000"])
    let end = Date(timeIntervalSinceNow: 60)
    while try !run.errors.contains("epoch 2/") {
      try #require(run.process.isRunning && Date() < end, "there is no progress")
      Thread.sleep(forTimeInterval: 0.01)
    }
    run.process.interrupt()
    #expect(try run.wait().status == 130)
    #expect(try place.names("run").count == 1)
    let resumed = try place.chainrule(
      ["train", "digits", "--epochs", "1", "--checkpoint", "run", "--resume"])
    #expect(resumed.status == 0 && resumed.output.contains("result"))
  }

  @Test func `what does not go together, or does not fit, is refused`() throws {
    for (arguments, message, status) in [
      (["--resume"], "--resume needs --checkpoint, or the checkpoint to resume from", 64),
      (["--checkpoint-keep", "2"], "--checkpoint-keep needs --checkpoint", 64),
      (["--checkpoint", "run", "--checkpoint-keep", "0"], "--checkpoint-keep is 0; expected at least 1", 64),
      (
        ["--checkpoint", "run", "--checkpoint-every", "0steps"], "expected a number of epochs of at least 1",
        64
      ),
      (["--checkpoint", "run", "--folds", "3"], "--checkpoint and --folds cannot be combined", 64),
      (["--resume", "none"], "none: cannot read: No such file or directory", 1),
    ] as [([String], String, Int32)] {
      let ended = try place.chainrule(["train", "iris", "--quiet"] + arguments)
      #expect(ended.status == status && ended.errors.contains(message), "\(arguments): \(ended.errors)")
    }
    #expect(
      try train("--checkpoint", "run", "--checkpoint-every", "10steps", "--checkpoint-keep", "99").status == 0
    )
    let first = "run/checkpoint-000000000010.safetensors"
    for (arguments, message) in [
      (["--optimizer", "sgd"], "optimizer: adam in the checkpoint, sgd now"),
      (
        ["--hidden", "9"],
        "layers, number 2: \"8 identity (no bias)\" in the checkpoint, \"9 identity (no bias)\" now"
      ),
      (["--seed", "4"], "seed: 0 in the checkpoint, 4 now"),
    ] {
      let ended = try place.chainrule(options + arguments + ["--resume", first])
      #expect(ended.status == 65 && ended.errors.contains(message), "\(arguments): \(ended.errors)")
    }
    try place.write("not a checkpoint", to: "text")
    #expect(try train("--resume", "text").status == 65)
  }

  @Test func `a checkpoint that cannot be written ends training, or is told`() throws {
    try place.write("", to: "file")
    let ended = try train("--checkpoint", "file")
    #expect(ended.status == 1 && ended.errors.contains("file"))
    try place.makeFolder("run/checkpoint-000000000004.safetensors")
    let failed = try train("--checkpoint", "run")
    #expect(failed.status == 1)
    #expect(failed.errors.contains("run/checkpoint-000000000004.safetensors: cannot write: Is a directory"))
    let told = try train("--checkpoint", "run", "--checkpoint-may-fail", "--checkpoint-keep", "50")
    #expect(told.status == 0 && told.errors.contains("; training continues without this checkpoint"))
    #expect(try place.names("run").count > 1)
  }

  /// `CHAINRULE_KILLS=500` for as many kills.
  @Test func `a process that is killed leaves whole files, from which training goes on to the same bytes`()
    throws
  {
    let kills = ProcessInfo.processInfo.environment["CHAINRULE_KILLS"].flatMap(Int.init) ?? 25
    let options = options.filter { $0 != "--patience" && $0 != "5" && $0 != "--epochs" && $0 != "12" }
    let more = ["--epochs", "\(kills * 40)"]
    var (steps, midway) = (0, 0)
    let clock = ContinuousClock()
    let start =
      try clock.measure { try place.chainrule(["train", "iris", "--epochs", "1", "--quiet"]) } / .seconds(1)
    for _ in 0..<kills {
      let run = try place.start(
        options + more + [
          "--checkpoint", "run", "--checkpoint-every", "1steps", "--checkpoint-keep", "2", "--resume",
        ])
      Thread.sleep(forTimeInterval: .random(in: start / 2...start + 0.2))
      midway += run.process.isRunning ? 1 : 0
      kill(run.process.processIdentifier, SIGKILL)
      _ = try run.wait()
      let names = place.exists("run") ? try place.names("run").filter { $0.hasPrefix("checkpoint-") } : []
      for name in names { #expect(try place.chainrule("inspect", "run/" + name).status == 0) }
      let newest = names.last.flatMap { Int($0.dropFirst(11).dropLast(12)) } ?? 0
      #expect(newest >= steps)
      steps = newest
    }
    #expect(
      steps > 0 && midway > kills / 2, "\(midway) of \(kills) were killed on the way, at \(steps) steps")
    #expect(try place.chainrule(options + more + ["--resume", "run", "--save", "resumed"]).status == 0)
    #expect(try place.chainrule(options + more + ["--save", "whole"]).status == 0)
    #expect(try place.bytes("resumed") == place.bytes("whole"))
    #expect(try place.names("run").filter { $0.hasPrefix(".chainrule-") }.count <= 1)
  }
}

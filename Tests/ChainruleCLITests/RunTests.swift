import Foundation
import Testing

/// What a run writes, and what it must not lose.
@Suite("Files of a run")
struct RunFileTests {
  private let place: Workplace

  init() throws {
    place = try Workplace()
    let rows = (0..<60).map { "\($0),\($0 * 7 % 13),\($0 % 3 == 0 ? "u" : "v")\n" }.joined()
    try place.write("a,b,y\n" + rows, to: "d.csv")
    try place.write("a,b,y\n" + rows, to: "held.csv")
  }

  private func run(_ command: String) throws -> Ended {
    try place.chainrule(command.split(separator: " ").map(String.init))
  }

  private func mode(_ name: String) throws -> Int {
    try #require(
      FileManager.default.attributesOfItem(atPath: place.url(name).path)[.posixPermissions] as? Int)
  }

  // MARK: Inputs and outputs

  @Test(arguments: [
    ("train d.csv --save d.csv", "--save d.csv is the file that <data> reads"),
    ("train d.csv --stream --log d.csv", "--log d.csv is the file that <data> reads"),
    ("train d.csv --log ./d.csv", "--log ./d.csv is the file that <data> reads"),
    ("train d.csv --save link.csv", "--save link.csv is the file that <data> reads"),
    ("train link.csv --save d.csv", "--save d.csv is the file that <data> reads"),
    ("train d.csv --save hard.csv", "--save hard.csv is the file that <data> reads"),
    ("train d.csv --validation-data held.csv --log held.csv", "is the file that --validation-data reads"),
    ("train images-idx3 --log labels-idx1", "is the file that --labels reads"),
    ("train images-idx3 --labels other-idx1 --save other-idx1", "is the file that --labels reads"),
    ("train d.csv --resume m --save m", "--save m is the file that --resume reads"),
    ("train d.csv --save new --log new", "--save new and --log new are the same file; expected two files"),
    ("train d.csv --save new --log ./new", "--save new and --log ./new are the same file"),
    ("train d.csv --save d/new --log d/../d/new", "are the same file"),
    ("train d.csv --save dangling --log new", "--save dangling and --log new are the same file"),
    ("train d.csv --save ck --checkpoint ck", "--save ck and --checkpoint ck are the same file"),
    ("predict m d.csv --output m", "--output m is the file that <model> reads"),
    ("predict m d.csv --output d.csv", "--output d.csv is the file that <data> reads"),
    ("export m --to onnx --output hard-m", "--output hard-m is the file that <model> reads"),
    ("import m.safetensors --activations relu --save m.safetensors", "is the file that <file> reads"),
    ("import m.onnx --save link.onnx", "--save link.onnx is the file that <file> reads"),
  ])
  func `an output that would overwrite an input, or another output, is wrong usage`(
    command: String, message: String
  ) throws {
    for (link, target) in [("link.csv", "d.csv"), ("link.onnx", "m.onnx"), ("dangling", "new")] {
      try FileManager.default.createSymbolicLink(atPath: place.url(link).path, withDestinationPath: target)
    }
    for name in ["images-idx3", "labels-idx1", "other-idx1", "m.onnx", "m.safetensors", "m"] {
      try place.write("kept", to: name)
    }
    try place.makeFolder("d")
    for (hard, name) in [("hard.csv", "d.csv"), ("hard-m", "m")] {
      try FileManager.default.linkItem(at: place.url(name), to: place.url(hard))
    }
    let data = try place.bytes("d.csv")
    let ended = try run(command)
    #expect(ended.status == 64 && ended.errors.contains(message), "\(ended.errors)")
    #expect(try place.bytes("d.csv") == data && place.bytes("held.csv") == data)
    for name in ["images-idx3", "labels-idx1", "other-idx1", "m.onnx", "m.safetensors", "m"] {
      #expect(try place.read(name) == "kept")
    }
    #expect(!place.exists("new") && !place.exists("d/new") && !place.exists("ck"))
  }

  @Test func `standard input is an input, and the null device may be several outputs`() throws {
    try place.chainrule("train", "d.csv", "--epochs", "1", "--save", "m", "--quiet")
    let data = try place.bytes("d.csv")
    let ended = try shell("\"$0\" predict m - --output d.csv < d.csv")
    #expect(ended.status == 64 && ended.errors.contains("--output d.csv is the file that <data> reads"))
    #expect(try place.bytes("d.csv") == data)
    #expect(try run("train d.csv --epochs 1 --quiet --save /dev/null --log /dev/null").status == 0)
  }

  /// Runs a line of sh, in which "$0" is the program.
  private func shell(_ line: String) throws -> (status: Int32, errors: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.currentDirectoryURL = place.folder
    process.arguments = ["-c", "exec 2>errors; " + line, try #require(program).path]
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationReason == .exit)
    return (process.terminationStatus, try place.read("errors"))
  }

  // MARK: Replacing

  @Test(arguments: [
    "predict m d.csv --output", "export m --to c --output", "export m --to onnx --output",
    "train d.csv --epochs 1 --save",
    "train d.csv --epochs 1 --log",
  ])
  func `a file is replaced in one way: mode kept, link followed, read-only refused, device written through`(
    command: String
  ) throws {
    try place.chainrule("train", "d.csv", "--epochs", "1", "--save", "m", "--quiet")
    try place.write("old", to: "out")
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: place.url("out").path)
    try FileManager.default.createSymbolicLink(atPath: place.url("link").path, withDestinationPath: "out")
    #expect(try run(command + " link").status == 0)
    #expect(try place.bytes("out") != Data("old".utf8) && mode("out") == 0o600)
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: place.url("link").path) == "out")

    try place.write("old", to: "read-only")
    try FileManager.default.setAttributes(
      [.posixPermissions: 0o444], ofItemAtPath: place.url("read-only").path)
    let refused = try run(command + " read-only")
    #expect(refused.status == 1 && refused.errors.contains("read-only: cannot write: the file is read-only"))
    #expect(try place.read("read-only") == "old" && mode("read-only") == 0o444)

    let missing = try run(command + " none/file")
    #expect(missing.status == 1)
    #expect(missing.errors.contains("none/file: cannot open the folder: No such file or directory"))
    #expect(try run(command + " /dev/null").status == 0)
    #expect(
      try FileManager.default.attributesOfItem(atPath: "/dev/null")[.type] as? FileAttributeType
        == .typeCharacterSpecial)
    #expect(try place.names(".").allSatisfy { !$0.hasPrefix(".chainrule-") })
  }

  @Test func `standard output by its name is written through`() throws {
    try place.chainrule("train", "d.csv", "--epochs", "1", "--save", "m", "--quiet")
    let printed = try run("predict m d.csv")
    let named = try run("predict m d.csv --output /dev/stdout")
    #expect(named.status == 0 && named.output == printed.output)
  }

  @Test func `the temporary file of a killed run beside a model goes with the next save`() throws {
    try place.write("part of a model", to: ".chainrule-0")
    try place.write("part of another", to: ".chainrule-1")
    #expect(try run("train d.csv --epochs 1 --save m --quiet").status == 0)
    #expect(try place.names(".").allSatisfy { !$0.hasPrefix(".chainrule-") })
  }

  // MARK: A model is saved, and not lost

  private func waitFor(_ text: String, in run: Running) throws {
    let end = Date(timeIntervalSinceNow: 60)
    while try !run.errors.contains(text) {
      try #require(run.process.isRunning && Date() < end, "there is no progress")
      Thread.sleep(forTimeInterval: 0.01)
    }
  }

  @Test(arguments: [(SIGINT, 130), (SIGTERM, 143), (SIGHUP, 129)] as [(Int32, Int32)])
  func `a signal saves the model and a checkpoint, and is the exit status`(signal: Int32, status: Int32)
    throws
  {
    let run = try place.start(
      [
        "train", "digits", "--epochs", "1000000", "--save", "m", "--checkpoint", "run", "--checkpoint-every",
        "1000000",
      ])
    try waitFor("epoch 2/", in: run)
    kill(run.process.processIdentifier, signal)
    let ended = try run.wait()
    #expect(ended.reason == .exit && ended.status == status, "\(ended.errors)")
    #expect(ended.output == "model  saved in m\n")
    #expect(ended.errors.contains("chainrule: interrupted after "))
    #expect(try place.chainrule("inspect", "m").status == 0)
    #expect(try place.names("run").count == 1)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
  func `a model is not replaced by one that has not finished an epoch`(signal: Int32) throws {
    try place.write("old", to: "m")
    try place.write("old log", to: "log")
    // An epoch of this, with a checkpoint after each update, takes minutes.
    let rows = (0..<20_000).map { "\($0 % 97),\($0 * 7 % 13),\($0 % 3)\n" }.joined()
    try place.write("a,b,y\n" + rows, to: "long.csv")
    let run = try place.start([
      "train", "long.csv", "--hidden", "300,300", "--batch-size", "1", "--save", "m", "--log", "log",
      "--checkpoint",
      "run", "--checkpoint-every", "1steps",
    ])
    let end = Date(timeIntervalSinceNow: 60)
    while try !place.exists("run") || place.names("run").allSatisfy({ !$0.hasPrefix("checkpoint") }) {
      try #require(run.process.isRunning && Date() < end, "there is no checkpoint")
      Thread.sleep(forTimeInterval: 0.01)
    }
    kill(run.process.processIdentifier, signal)
    let ended = try run.wait()
    #expect(ended.status == 128 + signal, "\(ended.errors)")
    #expect(ended.output.isEmpty)
    #expect(ended.errors.contains("interrupted after 0 epochs; nothing was saved"))
    #expect(try place.read("m") == "old" && place.read("log") == "old log")
  }

  @Test func `a second signal ends at once`() throws {
    // Training waits for the reader of its log, who does not read.
    #expect(mkfifo(place.url("pipe").path, 0o600) == 0)
    let reader = open(place.url("pipe").path, O_RDONLY | O_NONBLOCK)
    defer { close(reader) }
    let run = try place.start(["train", "xor", "--epochs", "100000000", "--save", "m", "--log", "pipe"])
    try waitFor("epoch ", in: run)
    Thread.sleep(forTimeInterval: 2)
    kill(run.process.processIdentifier, SIGTERM)
    Thread.sleep(forTimeInterval: 0.5)
    #expect(run.process.isRunning)
    kill(run.process.processIdentifier, SIGTERM)
    let ended = try run.wait()
    #expect(ended.reason == .exit && ended.status == 143 && ended.output.isEmpty)
    #expect(!place.exists("m"))
  }

  @Test(
    .enabled(if: FileManager.default.fileExists(atPath: "/dev/full")),
    arguments: [
      " --epochs 3", " --full-batch lbfgs --iterations 3",
    ])
  func `a log that cannot be written costs the exit status, not the model`(more: String) throws {
    let ended = try run("train d.csv --save m --log /dev/full --quiet" + more)
    #expect(ended.status == 1 && ended.output == "model  saved in m\n")
    #expect(
      ended.errors.contains(
        "/dev/full: cannot write: No space left on device; training continues without the log"))
    #expect(ended.errors.contains("chainrule: the log is incomplete: /dev/full: cannot write"))
    #expect(try run("train d.csv --save other --quiet" + more).status == 0)
    #expect(try place.bytes("m") == place.bytes("other"))
  }

  @Test func `a checkpoint that cannot be written ends training, and the model is saved`() throws {
    // A folder stands where the third of the checkpoints is to be: 2 updates an epoch.
    try place.makeFolder("run/checkpoint-000000000006.safetensors")
    let ended = try run("train d.csv --epochs 5 --save m --checkpoint run --quiet")
    #expect(ended.status == 1 && ended.output == "model  saved in m\n")
    #expect(ended.errors.contains("run/checkpoint-000000000006.safetensors: cannot write: Is a directory"))
    #expect(try run("train d.csv --epochs 3 --save other --quiet").status == 0)
    #expect(try place.bytes("m") == place.bytes("other"))
  }

  @Test(arguments: ["", " --preset plain", " --preset plain --patience 50"])
  func `training that diverges saves the best or the last finite model, and exits 1`(more: String) throws {
    // The rate grows each epoch until the numbers overflow.
    let rows = (0..<60).map { "\(Double($0) / 60),\(Double($0 * 7 % 13) / 13)\n" }.joined()
    try place.write("a,y\n" + rows, to: "r.csv")
    let options =
      "train r.csv --task regression --activation identity --optimizer sgd --learning-rate 0.05 --schedule exponential "
      + "--schedule-factor 2 --validation 0.2 --quiet --log log --save "
    let ended = try run(options + "m --epochs 200" + more)
    #expect(ended.status == 1, "\(ended.errors)")
    #expect(ended.output == "model  saved in m\n")
    let epochs = try jsonLines(place.read("log"))
    #expect(ended.errors.contains("chainrule: training diverged in epoch \(epochs.count + 1): "))
    let best = try #require(
      epochs.min {
        ($0["validationLoss"] as? Double ?? .infinity) < ($1["validationLoss"] as? Double ?? .infinity)
      }?["epoch"]
        as? Int)
    // Only the plain preset has no patience.
    let kept = more == " --preset plain" ? epochs.count : best
    #expect(ended.errors.contains("epoch \(kept)\n"), "\(ended.errors)")
    #expect(try run(options + "other --epochs \(kept)" + more).status == 0)
    #expect(try place.bytes("m") == place.bytes("other"))
  }

  @Test func `a file that may not grow is an error with a reason, and leaves the old file`() throws {
    try place.chainrule("train", "d.csv", "--epochs", "1", "--save", "m", "--quiet")
    try place.write("old", to: "out")
    try place.write("a,b\n" + String(repeating: "1,2\n", count: 2000), to: "rows.csv")
    // 2 blocks of 512 bytes.
    let ended = try shell("ulimit -f 2; exec \"$0\" predict m rows.csv --output out")
    #expect(ended.status == 1 && ended.errors == "chainrule: out: cannot write: File too large\n")
    #expect(try place.read("out") == "old" && place.names(".").allSatisfy { !$0.hasPrefix(".chainrule-") })
  }
}

/// Checkpoints of one run, and what resumes from them.
@Suite("A run and its folder")
struct RunFolderTests {
  private let place: Workplace
  private let options = ["train", "d.csv", "--epochs", "6", "--quiet", "--checkpoint", "run"]

  init() throws {
    place = try Workplace()
    let rows = (0..<60).map { "\($0),\($0 * 7 % 13),\($0 % 3 == 0 ? "u" : "v")\n" }.joined()
    try place.write("a,b,y\n" + rows, to: "d.csv")
  }

  private func train(_ more: String...) throws -> Ended { try place.chainrule(options + more) }

  @Test func `a run resumes only with its own data and options, and the error names the difference`() throws {
    #expect(try train("--epochs", "4").status == 0)
    let before = try place.names("run")
    let original = try place.read("d.csv")
    let columns = original.split(separator: "\n").map { line in
      let cells = line.split(separator: ",")
      return "\(cells[1]),\(cells[0]),\(cells[2])\n"
    }.joined()
    for (data, more, message) in [
      (columns, "", #"features, number 1: "a" in the checkpoint, "b" now"#),
      (
        original.replacingOccurrences(of: "u\n", with: "w\n"), "",
        #"classes, number 1: "u" in the checkpoint, "v" now"#
      ),
      (original.replacingOccurrences(of: "59,10,v", with: "59,11,v"), "", "data: xxh64:"),
      (original, "--seed 5", "seed: 0 in the checkpoint, 5 now"),
      (original, "--label-smoothing 0.1", "regularization.labelSmoothing: 0.0 in the checkpoint, 0.1 now"),
      (original, "--validation 0.4", "--validation: none in the checkpoint, 0.4 now"),
      (original, "--no-stratified", "--stratified: none in the checkpoint, false now"),
      (original, "--preset plain", "--preset: recommended in the checkpoint, plain now"),
      (original, "--class-weights balanced", "--class-weights: none in the checkpoint, balanced classes now"),
      (original, "--learning-rate 0.01", "optimizer.learningRate: 0.001 in the checkpoint, 0.01 now"),
      (original, "--batch-size 16", "batch size: 32 in the checkpoint, 16 now"),
      (original, "--scalar float64", "scalar: float32 in the checkpoint, float64 now"),
      (original, "--stream", "--stream: none in the checkpoint, given now"),
    ] {
      try place.write(data, to: "d.csv")
      let ended = try place.chainrule(options + ["--resume"] + more.split(separator: " ").map(String.init))
      #expect(ended.status == 65, "\(more): \(ended.errors)")
      #expect(
        ended.errors.contains("this checkpoint is of a different run") && ended.errors.contains(message),
        "\(ended.errors)")
    }
    try place.write(original, to: "d.csv")
    #expect(try place.names("run") == before)
    #expect(
      try train("--resume", "--threads", "2", "--patience", "50", "--save", "m", "--log", "log").status == 0)
  }

  @Test func `a new run in the folder of another is refused`() throws {
    #expect(try train().status == 0)
    let before = try place.names("run")
    let second = try train("--seed", "77", "--epochs", "1")
    #expect(second.status == 1)
    #expect(
      second.errors.contains(
        "run: this folder has checkpoints of another run, the newest run/checkpoint-000000000012"))
    #expect(second.errors.contains("Add --resume to continue that run, or choose another folder"))
    #expect(try place.names("run") == before)
  }

  @Test func `two processes do not train in one folder`() throws {
    let first = try place.start(
      ["train", "digits", "--epochs", "1000000", "--checkpoint", "run", "--checkpoint-every", "1000000"])
    let end = Date(timeIntervalSinceNow: 60)
    while try !first.errors.contains("epoch 2/") {
      try #require(first.process.isRunning && Date() < end, "there is no progress")
      Thread.sleep(forTimeInterval: 0.01)
    }
    let second = try train()
    #expect(second.status == 1)
    #expect(
      second.errors.contains(
        "run: another run is writing its checkpoints here (process \(first.process.processIdentifier) on "))
    kill(first.process.processIdentifier, SIGKILL)
    _ = try first.wait()
    #expect(try train().status == 0)
  }

  @Test func `a damaged newest checkpoint is passed over, aloud`() throws {
    #expect(try train("--save", "whole").status == 0)
    let newest = "run/" + (try #require(try place.names("run").last))
    try place.write(Array(try place.bytes(newest).dropLast(7)), to: newest)
    let resumed = try train("--resume", "--save", "resumed")
    #expect(resumed.status == 0)
    #expect(
      resumed.errors.contains("chainrule: \(newest): ")
        && resumed.errors.contains("; resuming from the checkpoint before it"))
    #expect(try place.bytes("resumed") == place.bytes("whole"))
  }

  @Test(arguments: ["", "{\"epoch\": 6, \"lo", "{\"epoch\": 5, \"loss\": 1}\n"])
  func `a log has each epoch once after a resume`(torn: String) throws {
    #expect(try train("--checkpoint-keep", "9", "--log", "whole").status == 0)
    for name in try place.names("run").dropFirst(3) { try place.remove("run/" + name) }
    // The run went on to epoch 5 after the checkpoint of epoch 3, and was killed.
    let lines = try place.read("whole").split(separator: "\n")
    try place.write(lines[..<5].map { $0 + "\n" }.joined() + torn, to: "log")
    #expect(try train("--resume", "--log", "log").status == 0)
    #expect(try jsonLines(place.read("log")).map { $0["epoch"] as? Int } == [1, 2, 3, 4, 5, 6])
    #expect(try place.read("log").split(separator: "\n")[..<3] == lines[..<3])
  }

  @Test func `a resumed run does not take another file for its log`() throws {
    #expect(try train("--epochs", "2").status == 0)
    try place.write("shopping: milk\n", to: "notes.txt")
    let ended = try train("--resume", "--log", "notes.txt")
    #expect(
      ended.status == 65 && ended.errors.contains("notes.txt, line 1: this is not a line of the log of a run")
    )
    #expect(try place.read("notes.txt") == "shopping: milk\n")
  }
}

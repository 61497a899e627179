import Foundation
import Testing

@Suite("chainrule train")
struct TrainTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  @Test func `results go to standard output and a line an epoch to standard error`() throws {
    let run = try place.chainrule("train", "iris", "--epochs", "3", "--validation", "0.2")
    #expect(run.status == 0)
    #expect(run.output.contains("→ 128 relu → dropout 0.2 → 128 relu → dropout 0.2 → 3 softmax, float32"))
    #expect(run.output.contains("held out  accuracy"))
    #expect(run.output.contains(" of 30 rows)"))
    #expect(run.output.contains("actual \\ predicted"))
    #expect(!run.output.contains("epoch 1/3"))
    let progress = run.errors.split(separator: "\n")
    #expect(progress.count == 3)
    #expect(progress.first?.hasPrefix("epoch 1/3  loss ") == true)
    #expect(progress.last?.contains("validation loss") == true)
  }

  @Test func `quiet silences the progress and not the results`() throws {
    let run = try place.chainrule("train", "iris", "--epochs", "2", "--quiet")
    #expect(run.status == 0)
    #expect(run.errors.isEmpty)
    #expect(run.output.contains("held out"))
  }

  @Test func `xor is learnt on all four rows, down to the loss asked for`() throws {
    let run = try place.chainrule(
      "train", "xor", "--hidden", "8", "--activation", "tanh", "--optimizer", "adam", "--learning-rate",
      "0.05",
      "--epochs", "500", "--until-loss", "0.01", "--log", "run.jsonl")
    #expect(run.status == 0)
    #expect(run.output.contains("none held out"))
    #expect(run.output.contains("trained on  accuracy 100.0 % (4 of 4 rows)"))
    let losses = try jsonLines(place.read("run.jsonl")).compactMap { $0["loss"] as? Double }
    #expect(losses.count < 500)
    #expect(losses.dropLast().allSatisfy { $0 >= 0.01 })
    #expect(try #require(losses.last) < 0.01)
  }

  @Test func `a model saved is evaluated and predicts with the accuracy it was trained to`() throws {
    let run = try place.chainrule(
      "train", "digits", "--epochs", "8", "--validation", "0", "--save", "digits.safetensors", "--quiet")
    #expect(run.lines.contains { $0.hasPrefix("model") && $0.hasSuffix("saved in digits.safetensors") })

    let evaluated = try #require(
      place.chainrule("evaluate", "digits.safetensors", "digits", "--json").objects.first)
    let accuracy = try #require(evaluated["accuracy"] as? Double)
    #expect(accuracy > 0.9)
    let right = Int((accuracy * 1797).rounded())
    #expect(run.output.contains("(\(right) of 1797 rows)"))

    let confusion = try #require(evaluated["confusionMatrix"] as? [[Int]])
    #expect(confusion.indices.reduce(0) { $0 + confusion[$1][$1] } == right)
    let labels = try place.chainrule("predict", "digits.safetensors", "digits", "--json").objects
      .compactMap { $0["label"] as? String }
    #expect(labels.count == 1797)
    for (digit, row) in zip(0..., confusion.indices) {
      #expect(labels.count { $0 == "\(digit)" } == confusion.reduce(0) { $0 + $1[row] })
    }
  }

  @Test func `the same seed writes the same model, another seed another`() throws {
    for (name, seed) in [("a", "1"), ("b", "1"), ("c", "2")] {
      try place.chainrule("train", "iris", "--epochs", "2", "--seed", seed, "--save", name, "--quiet")
    }
    #expect(try place.bytes("a") == place.bytes("b"))
    #expect(try place.bytes("a") != place.bytes("c"))
  }

  @Test func `any number of threads writes the same model`() throws {
    for threads in ["1", "2", "3"] {
      let run = try place.chainrule(
        "train", "digits", "--epochs", "2", "--batch-size", "128", "--threads", threads, "--save", threads,
        "--quiet")
      #expect(run.status == 0)
    }
    #expect(try place.bytes("2") == place.bytes("1"))
    #expect(try place.bytes("3") == place.bytes("1"))
  }

  @Test(arguments: ["float32", "float64"])
  func `the scalar asked for is what the file holds`(scalar: String) throws {
    try place.chainrule("train", "xor", "--epochs", "1", "--scalar", scalar, "--save", "m", "--quiet")
    #expect(try place.chainrule("inspect", "m", "--json").objects.first?["scalar"] as? String == scalar)
  }

  @Test func `patience ends training early`() throws {
    let run = try place.chainrule(
      "train", "iris", "--epochs", "5000", "--learning-rate", "0.05", "--patience", "3", "--log", "run.jsonl",
      "--quiet")
    #expect(run.status == 0)
    #expect(run.output.contains("no lower validation loss in 3 epochs"))
    let losses = try jsonLines(place.read("run.jsonl")).compactMap { $0["validationLoss"] as? Double }
    #expect(losses.count < 5000)
    let lowest = try #require(losses.dropLast(3).min())
    #expect(losses.suffix(3).allSatisfy { $0 >= lowest })
  }

  // MARK: The log

  private func keysOfFirstLine(_ log: String) throws -> Set<String> {
    Set(try #require(jsonLines(place.read(log)).first).keys)
  }

  @Test func `the log of classes has a line an epoch with the accuracy`() throws {
    try place.chainrule("train", "iris", "--epochs", "3", "--validation", "0.2", "--log", "run.jsonl")
    let lines = try jsonLines(place.read("run.jsonl"))
    #expect(lines.compactMap { $0["epoch"] as? Int } == [1, 2, 3])
    for line in lines {
      #expect(
        Set(line.keys) == [
          "epoch", "loss", "validationLoss", "validationAccuracy", "validationBalancedAccuracy",
          "validationMacroF1", "learningRate", "seconds",
        ])
      #expect(line["learningRate"] as? Double == 0.001)
    }
  }

  @Test func `the log of a regression has its errors, and no number that is not finite`() throws {
    try place.write(csv(rows: 10), to: "sums.csv")
    try place.chainrule("train", "sums.csv", "--epochs", "1", "--validation", "0.3", "--log", "many.jsonl")
    let keys: Set = [
      "epoch", "loss", "validationLoss", "validationMeanAbsoluteError", "validationRootMeanSquaredError",
      "validationExplainedVariance", "learningRate", "seconds",
    ]
    #expect(try keysOfFirstLine("many.jsonl") == keys.union(["validationR2"]))
    // R² of a single row is not a number.
    try place.chainrule("train", "sums.csv", "--epochs", "1", "--validation", "0.1", "--log", "one.jsonl")
    #expect(try keysOfFirstLine("one.jsonl") == keys)
  }

  @Test func `without rows held out the log has nothing about them`() throws {
    try place.chainrule("train", "xor", "--epochs", "1", "--log", "run.jsonl")
    #expect(
      try keysOfFirstLine("run.jsonl") == ["epoch", "loss", "learningRate", "seconds"])
  }

  // MARK: The learning rate

  /// The rates of four epochs of training by sgd at 0.5.
  private func rates(_ options: String) throws -> [Double] {
    let common =
      "train xor --preset plain --optimizer sgd --learning-rate 0.5 --epochs 4 --quiet --log run.jsonl"
    let run = try place.chainrule((common + " " + options).split(separator: " ").map(String.init))
    #expect(run.status == 0)
    return try jsonLines(place.read("run.jsonl")).compactMap { $0["learningRate"] as? Double }
  }

  @Test func `the learning rate follows the schedule asked for, and the log has it`() throws {
    #expect(try rates("") == [0.5, 0.5, 0.5, 0.5])
    #expect(try rates("--schedule step --schedule-length 2") == [0.5, 0.5, 0.05, 0.05])
    #expect(try rates("--schedule exponential --schedule-factor 0.5") == [0.5, 0.25, 0.125, 0.0625])
    #expect(try rates("--schedule step --schedule-length 1 --schedule-factor 2") == [0.5, 1, 2, 4])
    let cosine = try rates("--schedule cosine --minimum-rate 0.1")
    #expect(cosine.map { ($0 * 1e4).rounded() } == [5000, 4414, 3000, 1586])
    #expect(
      try rates("--schedule cosine --schedule-length 2").map { ($0 * 1e4).rounded() } == [
        5000, 2500, 0, 2500,
      ])
    let restarts = try rates("--schedule cosineRestarts --schedule-length 2 --minimum-rate 0.25")
    #expect(restarts.map { ($0 * 1e4).rounded() } == [5000, 3750, 5000, 3750])
    #expect(try rates("--warm-up 3").map { ($0 * 1e4).rounded() } == [1667, 2778, 3889, 5000])
    // Of the four epochs the warm-up has two, the cosine the others.
    #expect(
      try rates("--schedule cosine --warm-up 2").map { ($0 * 1e4).rounded() } == [1667, 3333, 5000, 2500])
    let cycle = try rates("--schedule oneCycle")
    #expect(try #require(cycle.max()) > 0.3 && cycle.last! < 1e-5)
    // So small a rate leaves the loss where it is.
    let plateau = "--learning-rate 1e-9 --schedule plateau --schedule-patience 0 --schedule-factor 0.5"
    #expect(try rates(plateau) == [1e-9, 1e-9, 5e-10, 2.5e-10])
    #expect(try rates(plateau + " --minimum-rate 4e-10") == [1e-9, 1e-9, 5e-10, 4e-10])
    let run = try place.chainrule("train", "xor", "--epochs", "3", "--schedule", "cosine", "--warm-up", "1")
    #expect(run.output.contains("adamw at 0.001, cosine behind 1 epoch of warm-up, batches of 32"))
  }

  // MARK: The kind of network

  @Test(arguments: [
    ("spirals", " → 2 softmax, float32", "crossEntropy"),
    ("xor", " → 1 sigmoid, float32", "binaryCrossEntropy"),
    ("sums.csv", " → 1 identity → targets scaled, float32", "meanSquaredError"),
  ])
  func `the data choose the output layer and the loss`(data: String, layers: String, loss: String) throws {
    try place.write(csv(rows: 10), to: "sums.csv")
    let run = try place.chainrule("train", data, "--epochs", "1")
    #expect(run.output.contains(layers))
    #expect(run.output.contains("  \(loss), adamw at 0.001, "))
  }

  /// The network and the training line of one epoch of the options.
  private func plan(_ options: String) throws -> (network: String, training: String) {
    try place.write(csv(rows: 10), to: "sums.csv")
    let run = try place.chainrule(
      ("train " + options + " --epochs 1 --quiet").split(separator: " ").map(String.init))
    #expect(run.status == 0, "\(run.errors)")
    func value(_ name: String) throws -> String {
      let line = try #require(run.lines.first { $0.hasPrefix(name + " ") })
      return String(line.dropFirst(name.count).drop { $0 == " " })
    }
    return (try value("network"), try value("training"))
  }

  @Test(arguments: [
    (
      "iris", "4 → scaling → 128 relu → dropout 0.2 → 128 relu → dropout 0.2 → 3 softmax",
      "crossEntropy, adamw at 0.001, batches of 32"
    ),
    (
      "digits",
      "64 → scaling → 888 hardTanh → scaling → 128 relu → dropout 0.2 → 128 relu → dropout 0.2 → 10 softmax",
      "crossEntropy, adamw at 0.001, batches of 128"
    ),
    ("iris --preset plain", "4 → 64 relu → 3 softmax", "crossEntropy, adam at 0.001, batches of 32"),
    (
      "iris --standardize --hidden none", "4 → scaling → 3 softmax",
      "crossEntropy, adamw at 0.001, batches of 32"
    ),
    (
      "iris --no-standardize --hidden 9 --dropout 0", "4 → 9 relu → 3 softmax", "crossEntropy, adamw at 0.001"
    ),
    ("iris --preset plain --standardize", "4 → scaling → 64 relu → 3 softmax", "crossEntropy, adam at 0.001"),
    ("iris --preset plain --no-standardize", "4 → 64 relu → 3 softmax", "crossEntropy, adam at 0.001"),
    (
      "iris --preset plain --dropout 0.5", "4 → 64 relu → dropout 0.5 → 3 softmax",
      "crossEntropy, adam at 0.001"
    ),
    ("iris --preset plain --optimizer adamw --learning-rate 0.5", "4 → 64 relu → 3 softmax", "adamw at 0.5"),
    ("sums.csv --standardize --hidden none", "2 → scaling → 1 identity → targets scaled", "meanSquaredError"),
    ("sums.csv --no-scale-targets --no-standardize --hidden none", "2 → 1 identity", "meanSquaredError"),
    ("sums.csv --preset plain", "2 → 64 relu → 1 identity", "meanSquaredError, adam at 0.001"),
    (
      "sums.csv --preset plain --standardize --scale-targets",
      "2 → scaling → 64 relu → 1 identity → targets scaled",
      "meanSquaredError, adam at 0.001"
    ),
  ])
  func `a preset holds for the options that are not given`(options: String, network: String, training: String)
    throws
  {
    let plan = try plan(options)
    #expect(plan.network == network + ", float32")
    #expect(plan.training.contains(training))
  }

  @Test func `a preset has its own number of epochs and its own patience`() throws {
    func epochs(_ options: String) throws -> Int {
      let arguments = "train iris --quiet --log run.jsonl \(options)".split(separator: " ").map(String.init)
      #expect(try place.chainrule(arguments).status == 0)
      return try jsonLines(place.read("run.jsonl")).count
    }
    #expect(try epochs("--preset plain") == 50)
    #expect(try epochs("--hidden 8 --learning-rate 1e-9 --patience 1000") == 250)
    // At a rate of 1, the loss soon rises for the 20 epochs of the default patience.
    #expect(try epochs("--hidden 8 --learning-rate 1") < 250)
  }

  @Test func `options choose the layers, the optimizer and the task`() throws {
    try place.write("a;b\n1;0\n2;1\n3;0\n4;1\n", to: "data.csv")
    let run = try place.chainrule(
      "train", "data.csv", "--delimiter", ";", "--task", "regression", "--target", "a", "--hidden", "5,4",
      "--activation", "tanh", "--output-activation", "softplus", "--loss", "huber", "--optimizer", "sgd",
      "--learning-rate", "0.25", "--batch-size", "3", "--seed", "9", "--epochs", "1", "--no-standardize",
      "--dropout", "0")
    #expect(run.status == 0)
    #expect(run.output.contains("1 → 5 tanh → 4 tanh → 1 softplus"))
    #expect(run.output.contains("huber, sgd at 0.25, batches of 3, seed 9"))
    #expect(
      try place.chainrule("train", "xor", "--hidden", "none", "--no-standardize", "--epochs", "1").output
        .contains(
          "2 → 1 sigmoid"))
  }

  @Test func `CSV is read from standard input`() throws {
    let run = try place.chainrule("train", "-", "--epochs", "1", input: csv(rows: 10))
    #expect(run.status == 0)
    #expect(run.output.contains("10 rows, 2 inputs, 1 output"))
  }
}

/// Rows of x, y and x + y, with a header.
func csv(rows: Int) -> String {
  "x,y,sum\n" + (0..<rows).map { "\($0),\($0 * $0 % 7).5,\($0 + $0 * $0 % 7).5\n" }.joined()
}

import ArgumentParser
import Chainrule

struct TrainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a network on data.",
    usage: "chainrule train <data> [options]",
    discussion: """
      The data say what kind of network it is to be. Classes get a softmax output with cross-entropy, one target \
      of 0 and 1 gets a sigmoid output with binary cross-entropy, and other quantities get an identity output with \
      the mean squared error.

      A part of the rows is held out to validate on, after every epoch and at the end. The same data, options and \
      seed give the same model, bit for bit. Ctrl-C ends training after the batch in hand, and the model is saved \
      as it is then; a second Ctrl-C ends at once.

        chainrule train digits --hidden 128 --epochs 30 --save digits.safetensors
        chainrule train iris.csv --target species --validation 0.3 --patience 20
        chainrule train houses.csv --target price --hidden 64,32 --log run.jsonl
        chainrule train digits --optimizer sgd --learning-rate 0.1 --schedule cosine --warm-up 5
        chainrule train xor --learning-rate 0.05 --epochs 500 --until-loss 0.01
      """)

  @OptionGroup(title: "Data") var data: DataArguments
  @OptionGroup(title: "Data") var target: TargetArguments
  @OptionGroup(title: "Data") var partition: PartitionArguments
  @OptionGroup(title: "Network") var network: NetworkArguments
  @OptionGroup(title: "Training") var training: TrainingArguments
  @OptionGroup(title: "Learning rate") var schedule: ScheduleArguments
  @OptionGroup(title: "Output") var output: OutputArguments

  func run() async throws {
    switch network.scalar {
    case .float32: try await run(Float.self)
    case .float64: try await run(Double.self)
    }
  }

  private func run<Scalar: NetworkScalar>(_: Scalar.Type) async throws {
    if let path = output.save { try checkWritable(path, replacing: true) }
    let data: Dataset<Scalar> = try dataset()
    let (trained, heldOut) = try partition.split(data, seed: training.seed)
    let plan = try TrainingPlan(
      data: data, trained: trained, heldOut: heldOut, network: network, training: training,
      schedule: schedule.schedule(epochs: training.epochs))
    let progress = Progress(epochs: training.epochs, isQuiet: output.quiet)
    let log = output.log
    let result = try await cancellingOnInterrupt { try await plan.run(showing: progress, logTo: log) }

    try output.save.map(result.model.save(to:))
    let saved = output.save.map { [(name: "model", value: "saved in \($0)")] } ?? []
    guard result.ending != .interrupted else {
      try Output.write(listing(saved))
      throw Failure(
        message: "interrupted after \(counted(result.epochs, "epoch"))"
          + (saved.isEmpty ? "; nothing was saved" : ""),
        exitCode: .interrupted)
    }
    let evaluation = try result.model.evaluate(heldOut ?? trained, loss: plan.loss)
    let summary = (
      name: heldOut == nil ? "trained on" : "held out", value: evaluation.summary(loss: plan.loss)
    )
    try Output.write(
      listing(plan.summary + [result.summary(of: plan), summary] + saved) + evaluation.details)
  }

  private func dataset<Scalar: NetworkScalar>() throws -> Dataset<Scalar> {
    let source = try self.data.source()
    try target.check(against: source)
    if partition.task != .automatic { try source.requireCSV(for: "--task") }
    let options = CSVOptions(target: target.targets, delimiter: data.delimiter ?? ",", task: partition.task)
    let data: Dataset<Scalar> = try source.dataset(options: options, labels: target.labels)
    if let classes = data.classLabels, classes.count == 1 {
      throw source.bad("all rows are of the class \"\(classes[0])\"; there is nothing to tell apart")
    }
    return data
  }
}

/// What the targets are, and which rows are held out.
struct PartitionArguments: ParsableArguments {
  @Option(
    help: """
      What the targets of a CSV are. By default classes where the one target column holds text, or at most 20 \
      different whole numbers that recur.
      """)
  var task = CSVOptions.LearningTask.automatic

  @Option(
    help: ArgumentHelp(
      "The part of the rows to hold out, drawn at random; 0 for none. By default 0.2 of 50 rows or more, "
        + "and none of fewer.",
      valueName: "fraction"))
  var validation: Double?

  func validate() throws {
    try require("--validation", validation, "a fraction of at least 0 and below 1") { 0..<1 ~= $0 }
  }

  func split<Scalar>(
    _ data: Dataset<Scalar>, seed: UInt64
  ) throws -> (trained: Dataset<Scalar>, heldOut: Dataset<Scalar>?) {
    let fraction = validation ?? (data.rows < 50 ? 0 : 0.2)
    guard fraction > 0 else { return (data, nil) }
    let heldOut = Int((Double(data.rows) * fraction).rounded())
    guard 1..<data.rows ~= heldOut else {
      throw ValidationError(
        "--validation is \(fraction), which holds out \(heldOut) of \(counted(data.rows, "row")); "
          + "expected at least one to hold out and one to train on, or 0")
    }
    let (trained, test) = try data.split(holdingOut: fraction, seed: seed)
    return (trained, test)
  }
}

/// The layers.
struct NetworkArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The widths of the hidden layers, such as 64,32, or none. (default: 64)", valueName: "widths"),
    transform: HiddenLayers.init(parsing:))
  var hidden = HiddenLayers(64)

  @Option(help: "The activation of the hidden layers.")
  var activation = Activation.relu

  @Option(
    help: "The activation of the output layer. By default softmax, sigmoid or identity, as the data need.")
  var outputActivation: Activation?

  @Option(help: "The type of the parameters.")
  var scalar = ScalarType.float32

  func validate() throws {
    try require("--activation", activation.rawValue, "another: only the output layer may be softmax") {
      $0 != Activation.softmax.rawValue
    }
  }
}

/// How the network is trained.
struct TrainingArguments: ParsableArguments {
  @Option(help: "What training makes small. By default the loss usual with the output activation.")
  var loss: Loss?

  @Option(help: "How gradients become updates.")
  var optimizer = OptimizerName(argument: "adam")!

  @Option(help: ArgumentHelp("The size of the updates. By default the optimizer's own.", valueName: "number"))
  var learningRate: Double?

  @Option(
    help: ArgumentHelp(
      "How strongly weights are drawn to 0. By default the optimizer's own.", valueName: "number"))
  var weightDecay: Double?

  @Option(help: ArgumentHelp("The rows of an update.", valueName: "rows"))
  var batchSize = 32

  @Option(help: ArgumentHelp("The number of times all rows are visited, at most.", valueName: "count"))
  var epochs = 50

  @Option(
    help: ArgumentHelp("End after an epoch whose training loss is less than this.", valueName: "number"))
  var untilLoss: Double?

  @Option(
    help: ArgumentHelp(
      "End after so many epochs without a lower validation loss (training loss where no rows are held out), "
        + "and go back to the parameters of the lowest.",
      valueName: "epochs"))
  var patience: Int?

  @Option(
    help: ArgumentHelp(
      "Of the rows held out, the first weights and the order of the rows.", valueName: "number"))
  var seed: UInt64 = 0

  @Option(
    help: ArgumentHelp(
      "How many threads share the work of an update; any number trains the same model.", valueName: "count"))
  var threads = 1

  func validate() throws {
    try require("--learning-rate", learningRate, "a number above 0") { $0 > 0 && $0.isFinite }
    try require("--weight-decay", weightDecay, "a number of at least 0") { $0 >= 0 && $0.isFinite }
    try require("--batch-size", batchSize, "at least 1") { $0 >= 1 }
    try require("--epochs", epochs, "at least 1") { $0 >= 1 }
    try require("--until-loss", untilLoss, "a number") { $0.isFinite }
    try require("--patience", patience, "at least 1") { $0 >= 1 }
    try require("--threads", threads, "1 to 256") { 1...256 ~= $0 }
  }
}

/// Where results go besides standard output.
struct OutputArguments: ParsableArguments {
  @Option(help: ArgumentHelp("Save the trained model in this file.", valueName: "file"))
  var save: String?

  @Option(help: ArgumentHelp("Log every epoch in this file, one JSON object a line.", valueName: "file"))
  var log: String?

  @Flag(help: "Show no progress.")
  var quiet = false
}

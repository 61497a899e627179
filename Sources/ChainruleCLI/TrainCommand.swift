import ArgumentParser
import Chainrule
import Foundation

struct TrainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a network on data.",
    usage: "chainrule train <data> [options]",
    discussion: """
      A file and its target are enough; every option has a default.

      Columns: text becomes categories, dates become days, and missing numbers are filled with the median of their column \
      and marked by an additional feature. Columns that are constant or number the rows are left out. The command reports \
      each of these decisions in a line. The model scales features and regression targets itself: it takes and predicts \
      values as they are in the file.

      Output: softmax with cross-entropy for classes, sigmoid with binary cross-entropy for columns of 0 and 1, identity \
      with the mean squared error for numbers.

      Validation: 20 % of the rows are validation rows. Training stops when the validation loss no longer falls, and restores \
      the best parameters. --validation-data names a file of validation rows instead. With --folds, one network is trained \
      for each fold, and the output is the mean ± standard deviation (divisor folds - 1) of their results.

      --preset plain turns all of this off. The same data, options and seed give the same model, bit for bit. --seed seeds \
      the validation split, the initial weights, the shuffling and dropout.

      --json prints the result as one object.

      Interruption: Ctrl-C, SIGTERM and SIGHUP end training after the current batch and save the model: with patience the \
      best one, otherwise the current one; before the end of the first epoch none. A second signal ends the process at \
      once. A run that fails after its first epoch also saves its model, and exits with status 1.

        chainrule train houses.csv --target price --save houses.safetensors
        chainrule train digits --hidden 128 --epochs 30 --save digits.safetensors
        chainrule train iris.csv --target species --validation 0.3 --patience 20
        chainrule train houses.csv --target price --ignore id,address --hidden 64,32 --log run.jsonl
        chainrule train digits --optimizer sgd --learning-rate 0.1 --schedule cosine --warm-up 5
        chainrule train xor --until-loss 0.01
        chainrule train digits --hidden 128,128 --normalization batch --dropout 0.2 --label-smoothing 0.1
        chainrule train iris --folds 5 --stratified
        chainrule train flights.csv --target delay --task regression --stream --validation-data held-out.csv
        chainrule train houses.csv --target price --full-batch levenbergMarquardt
        chainrule train digits --epochs 500 --checkpoint run --checkpoint-every 10 --resume
        chainrule train cars.csv --target price --categorical doors --missing-values -999 --save cars.safetensors
      """)

  @OptionGroup(title: "Data") var data: DataArguments
  @OptionGroup(title: "Data") var target: TargetArguments
  @OptionGroup(title: "Data") var columns: ColumnArguments
  @OptionGroup(title: "Data") var streaming: StreamArguments
  @OptionGroup(title: "Validation rows") var partition: PartitionArguments
  @Option(
    help: """
      The defaults of all other options: recommended was best on ten real tables; plain is one hidden layer of 64 units on \
      unscaled numbers, trained for 50 epochs.
      """)
  var preset = Preset.recommended
  @OptionGroup(title: "Network") var network: NetworkArguments
  @OptionGroup(title: "Training") var training: TrainingArguments
  @OptionGroup(title: "Optimizer") var optimizer: OptimizerArguments
  @OptionGroup(title: "Learning rate") var schedule: ScheduleArguments
  @OptionGroup(title: "Regularization") var regularization: RegularizationArguments
  @OptionGroup(title: "Training on all rows at once") var fullBatch: FullBatchArguments
  @OptionGroup(title: "Checkpoints") var checkpoints: CheckpointArguments
  @OptionGroup(title: "Output") var output: OutputArguments

  func validate() throws {
    try fullBatch.check(training, optimizer, schedule, regularization, network)
    try streaming.check(partition, columns, training, fullBatch)
    try checkpoints.check(partition, fullBatch)
    if network.normalization == .batch {
      try require("--batch-size", training.givenBatchSize, "at least 2 with --normalization batch") {
        $0 >= 2
      }
    }
    try network.checkInitialWeights(partition, streaming)
    if partition.folds != nil, output.save != nil {
      throw ValidationError(
        "--save and --folds cannot be combined: --folds trains one network for each fold and keeps none")
    }
  }

  func run() async throws {
    try checkFiles()
    let initial = try network.initialWeights.map(InitialNetwork.init(readingFrom:))
    switch network.givenScalar ?? initial?.saved.scalarType ?? .float32 {
    case .float32: try await run(from: try initial?.model(as: Float.self))
    case .float64: try await run(from: try initial?.model(as: Double.self))
    }
  }

  /// `start` is the network that training begins with; nil: one drawn at random.
  private func run<Scalar: NetworkScalar>(from start: Model<Scalar>?) async throws {
    let source = try self.data.source()
    try target.check(against: source)
    try columns.check(against: source)
    if streaming.stream {
      return try await train(try streamed(source) as TrainingPlan<Scalar>)
    }
    if let start, start.knowsItsColumns {
      let data = try trainingData(for: start, of: source)
      return try await train(data, from: start)
    }
    let table: EncodedTable<Scalar>? = try source.table(options: options, isQuiet: output.quiet)
    if partition.folds != nil { return try await crossValidate(table, of: source) }
    let data = try trainingData(table, of: source) { try partition.trainedRows(of: $0, seed: training.seed) }
    if let start { try source.check(inputs: data.rows.inputs, outputs: data.rows.outputs, for: start) }
    try await train(data, from: start)
  }

  private func train<Scalar>(_ data: TrainingData<Scalar>, from start: Model<Scalar>?) async throws {
    var (trained, heldOut) = (data.rows, try validation(like: data))
    if heldOut == nil { (trained, heldOut) = try partition.split(data.rows, seed: training.seed) }
    try await train(plan(data, trained: trained, heldOut: heldOut, start: start))
  }

  private func checkFiles() throws {
    try ChainruleCLI.checkFiles(
      reading: [
        "<data>": data.data, "--labels": target.labels ?? (try? DataSource.labels(besides: data.data)),
        "--validation-data": partition.validationData,
        "--validation-labels": partition.validationLabels
          ?? partition.validationData.flatMap { try? DataSource.labels(besides: $0) },
        "--resume": checkpoints.resume, "--initial-weights": network.initialWeights,
      ],
      writing: ["--save": output.save, "--log": output.log], folders: ["--checkpoint": checkpoints.folder])
  }

  private func train<Scalar>(_ plan: TrainingPlan<Scalar>) async throws {
    let progress = plan.progress(isQuiet: output.quiet)
    let log = output.log
    let save = output.save
    let (result, signal) = try await cancellingOnSignals {
      let result = try await plan.run(showing: progress, logTo: log)
      // A model that has not finished an epoch does not replace one that may have.
      if let save, result.completed > 0 {
        try result.model.save(to: save)
        try removeOldEncoding(ofModelAt: save)
      }
      return result
    }
    let saved = result.completed > 0 ? save : nil
    let lines = saved.map { [(name: "model", value: "saved in \($0)")] } ?? []
    if result.isInterrupted || result.failure != nil {
      try? Output.write(output.form.json ? "\(plan.json(result, nil, savedAs: saved))\n" : listing(lines))
    }
    if let signal, result.isInterrupted {
      throw Failure(
        message: "interrupted after \(result.effort)" + (saved == nil ? "; nothing was saved" : ""),
        exitCode: .ended(by: signal))
    }
    if let failure = result.failure { throw failure }
    let evaluation = try plan.evaluate(result.model)
    if output.form.json { return try Output.write("\(plan.json(result, evaluation, savedAs: saved))\n") }
    let summary = (
      name: plan.heldOut == nil ? "trained on" : "held out", value: evaluation.summary(loss: plan.loss)
    )
    try Output.write(
      listing(plan.summary() + [result.summary, summary] + lines) + evaluation.details())
  }

  private func plan<Scalar>(
    _ data: TrainingData<Scalar>, trained: Dataset<Scalar>, heldOut: Dataset<Scalar>?,
    start: Model<Scalar>? = nil
  ) throws -> TrainingPlan<Scalar> {
    let trained = try training.classWeights?.applied(to: trained) ?? trained
    return try plan(like: data, trained: trained, heldOut: heldOut, buffer: nil, start: start)
  }

  /// `buffer` is the rows held in memory of those that are streamed; nil: all are in memory, and `data` has
  /// all.
  private func plan<Scalar>(
    like data: TrainingData<Scalar>, trained: any BatchSource<Scalar>, heldOut: (any BatchSource<Scalar>)?,
    buffer: Int?, start: Model<Scalar>? = nil
  ) throws -> TrainingPlan<Scalar> {
    try TrainingPlan(
      data: data, trained: trained, heldOut: heldOut, buffer: buffer, start: start, preset: preset,
      network: network,
      training: training, optimizer: optimizer, regularization: regularization, schedule: schedule,
      fullBatch: fullBatch, checkpoints: checkpoints, description: runDescription)
  }

  private var options: CSVOptions {
    data.applied(
      to: columns.options(
        target: target.targets, infers: preset == .recommended, centers: network.standardize ?? false))
  }

  /// A plan for rows that are read batch by batch.
  private func streamed<Scalar: NetworkScalar>(_ source: DataSource) throws -> TrainingPlan<Scalar> {
    let rows: any BatchSource<Scalar> = try source.batches(options: options, labels: target.labels)
    let table = rows as? CSVSource<Scalar>
    if let table {
      Notes.show(table.notes, isQuiet: output.quiet)
      if !output.quiet { table.report.showMissingTargets(in: source) }
      table.skippedRows.report()
    }
    let encoding = table.map { TableEncoding(features: $0.encoding, targets: $0.targets) }
    let first = try first(of: rows, in: source)
    if let classes = first.classLabels, classes.count == 1 { throw source.single(classes[0]) }
    var heldOut: (any BatchSource<Scalar>)?
    if partition.validationData == nil, training.givenEpochs == nil, preset == .recommended {
      Notes.show(
        [
          "there are no validation rows, so training runs all epochs; use --validation-data for validation rows"
        ],
        isQuiet: output.quiet)
    }
    if let path = partition.validationData {
      var options = options
      options.expect(encoding)
      options.target = table?.targetColumnNames ?? options.target
      heldOut = try DataSource(path).batches(
        options: options, labels: partition.validationLabels, encoding: encoding, classes: first.classLabels)
    }
    let data = TrainingData(rows: first, encoding: encoding, task: columns.task)
    return try plan(like: data, trained: rows, heldOut: heldOut, buffer: streaming.buffer)
  }

  private func first<Scalar>(
    of rows: some BatchSource<Scalar>, in source: DataSource
  ) throws(ChainruleError) -> Dataset<Scalar> {
    var batches = try rows.makeBatches(of: 1)
    guard let first = try batches.next() else { throw source.bad("there are no rows") }
    return first
  }

  /// The rows of --validation-data, as a model trained on `data` is evaluated on them.
  private func validation<Scalar>(like data: TrainingData<Scalar>) throws -> Dataset<Scalar>? {
    guard let path = partition.validationData else { return nil }
    let network = try Network<Scalar>(inputs: data.rows.inputs, layers: [.dense(Dense(data.rows.outputs))])
    try network.adoptNames(of: data.rows)
    let source = try DataSource(path)
    var report = EncodingReport()
    var options = self.data.applied(to: CSVOptions(target: target.targets, weights: columns.rows.weights))
    options.skipsBadRows = columns.rows.skipBadRows
    let (validation, skipped) = try source.dataset(
      for: Model(network), encoding: data.encoding, options: options,
      choices: DataChoices(labels: partition.validationLabels, features: self.data.features), report: &report)
    report.show(in: source)
    skipped.report()
    return validation
  }

  /// The data as a model takes them.
  private func trainingData<Scalar>(
    for model: Model<Scalar>, of source: DataSource
  ) throws -> TrainingData<Scalar> {
    let encoding = try network.initialWeights.flatMap { try model.encoding(savedAt: $0) }
    var report = EncodingReport()
    var options = self.data.applied(to: CSVOptions(target: target.targets, weights: columns.rows.weights))
    options.skipsBadRows = columns.rows.skipBadRows
    let (rows, skipped) = try source.dataset(
      for: model, encoding: encoding, options: options,
      choices: DataChoices(labels: target.labels, features: self.data.features), report: &report)
    report.show(in: source)
    skipped.report()
    return TrainingData(rows: rows, encoding: encoding, task: columns.task)
  }

  /// The data, whose missing cells take the values of some rows, those trained on; nil: of all.
  private func trainingData<Scalar: NetworkScalar>(
    _ table: EncodedTable<Scalar>?, of source: DataSource, trainedOn rows: (Dataset<Scalar>) throws -> [Int]?
  ) throws -> TrainingData<Scalar> {
    let data: TrainingData<Scalar>
    if var table {
      if let rows = try rows(table.rows) { table = try table.refitted(to: rows) }
      Notes.show(table.notes, isQuiet: output.quiet)
      data = TrainingData(table, task: columns.task)
    } else {
      let choices = DataChoices(labels: target.labels, features: self.data.features)
      data = TrainingData(
        rows: try source.dataset(options: options, choices: choices), encoding: nil, task: columns.task)
    }
    if let classes = data.rows.classLabels, classes.count == 1 { throw source.single(classes[0]) }
    return data
  }

  /// Trains a network for each fold, on all others, and prints how well it does on that one.
  private func crossValidate<Scalar>(_ table: EncodedTable<Scalar>?, of source: DataSource) async throws {
    let data = try trainingData(table, of: source) { _ in nil }
    let folds = try partition.folds(of: data.rows, seed: training.seed)
    let first = try plan(data, trained: folds[0].train, heldOut: folds[0].validation)
    let loss = first.loss
    let ((validation, interrupted), signal) = try await cancellingOnSignals { () -> (CrossValidation, Int?) in
      var validation = CrossValidation(loss: loss)
      for number in folds.indices {
        var (data, fold) = (data, folds[number])
        if let table {
          let refitted = try table.refitted(to: folds.trainingRows(ofFold: number))
          data = TrainingData(refitted, task: columns.task)
          fold = try partition.folds(of: data.rows, seed: training.seed)[number]
        }
        let plan = try plan(data, trained: fold.train, heldOut: fold.validation)
        let progress = plan.progress(isQuiet: output.quiet, prefix: "fold \(number + 1)/\(folds.count) ")
        let result = try await plan.run(showing: progress, logTo: output.log, fold: number + 1)
        if result.isInterrupted { return (validation, number + 1) }
        if let failure = result.failure { throw failure }
        validation.evaluations.append(try result.model.evaluate(fold.validation, loss: plan.loss))
      }
      return (validation, nil)
    }
    let setting = first.summary(heldOut: "\(folds.count) folds held out in turns")
    try Output.write(
      output.form.json ? "\(first.json(validation))\n" : listing(setting + validation.summary))
    if let interrupted {
      throw Failure(
        message: "interrupted in fold \(interrupted) of \(folds.count)",
        exitCode: .ended(by: signal ?? SIGINT))
    }
  }
}

extension DataSource {
  /// An error about data of a single class.
  fileprivate func single(_ name: String) -> ChainruleError {
    bad("all rows have the class \"\(name)\"; expected at least two classes")
  }
}

/// The files that training writes, and what it prints.
struct OutputArguments: ParsableArguments {
  @Option(help: .save)
  var save: String?

  @Option(
    help: ArgumentHelp("Write a line for each epoch to this file, as a JSON object.", valueName: "file"))
  var log: String?

  @OptionGroup var form: JSONArguments

  @Flag(help: "Do not show progress.")
  var quiet = false
}

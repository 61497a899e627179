import ArgumentParser
import Chainrule

/// How the network is trained.
struct TrainingArguments: ParsableArguments {
  @Option(help: "What training makes small. By default the loss usual with the output activation.")
  var loss: Loss?

  @Option(
    name: .customLong("batch-size"),
    help: ArgumentHelp(
      "The rows of a batch. By default by the number of rows, 32 and more.", valueName: "rows"))
  var givenBatchSize: Int?

  @Option(
    name: .customLong("accumulate"),
    help: ArgumentHelp(
      "The batches of an update, which is that of one batch of all their rows. (default: 1)",
      valueName: "count"))
  var givenAccumulate: Int?

  @Option(
    help: ArgumentHelp(
      "What the rows of each class weigh in the training loss: \"balanced\", that all classes weigh the same, or "
        + "weights such as cat=2,dog=0.5, 1 for a class that is not named.",
      valueName: "weights"),
    transform: ClassWeights.init(parsing:))
  var classWeights: ClassWeights?

  @Option(
    name: .customLong("epochs"),
    help: ArgumentHelp(
      "The number of times all rows are visited, at most. By default that of the preset.", valueName: "count")
  )
  var givenEpochs: Int?

  @Option(
    help: ArgumentHelp(
      "End after an epoch, or an iteration, whose training loss is less than this.", valueName: "number"))
  var untilLoss: Double?

  @Option(
    help: ArgumentHelp(
      "End after so many epochs without a lower validation loss (training loss where there are no validation rows), "
        + "and go back to the parameters of the lowest. By default that of the preset, where there are validation rows.",
      valueName: "epochs"))
  var patience: Int?

  @Option(
    help: ArgumentHelp(
      "Seeds the choice of the validation rows, the initial weights and the order of the rows.",
      valueName: "number"))
  var seed: UInt64 = 0

  @Option(
    name: .customLong("threads"),
    help: ArgumentHelp(
      "How many threads share the work of an update; any number trains the same model. (default: 1)",
      valueName: "count"))
  var givenThreads: Int?

  var accumulate: Int { givenAccumulate ?? 1 }
  var threads: Int { givenThreads ?? 1 }

  /// The options about batches and epochs, and whether each is given.
  var ofBatches: [(String, Bool)] {
    [
      ("--batch-size", givenBatchSize != nil), ("--accumulate", givenAccumulate != nil),
      ("--epochs", givenEpochs != nil), ("--patience", patience != nil), ("--threads", givenThreads != nil),
    ]
  }

  func validate() throws {
    try require("--batch-size", givenBatchSize, "at least 1") { $0 >= 1 }
    try require("--accumulate", accumulate, "at least 1") { $0 >= 1 }
    try require("--epochs", givenEpochs, "at least 1") { $0 >= 1 }
    try require("--until-loss", untilLoss, "a number") { $0.isFinite }
    try require("--patience", patience, "at least 1") { $0 >= 1 }
    try require("--threads", threads, "1 to 256") { 1...256 ~= $0 }
  }

  /// Puts what is given in the place of what `recipe` has.
  func apply(to recipe: inout TrainingRecipe) {
    if let givenBatchSize { recipe.batchSize = givenBatchSize }
    if let givenEpochs { recipe.epochs = givenEpochs }
    if let patience { recipe.patience = patience }
  }
}

import ArgumentParser
import Chainrule

/// How the network is trained.
struct TrainingArguments: ParsableArguments {
  @Option(help: "The loss that training minimizes. Default: the usual loss for the output activation.")
  var loss: Loss?

  @Option(
    name: .customLong("batch-size"),
    help: ArgumentHelp(
      "Rows of a batch, 1 or more. Default: as the preset says, 32 or 128.", valueName: "rows"))
  var givenBatchSize: Int?

  @Option(
    name: .customLong("accumulate"),
    help: ArgumentHelp(
      "Accumulate gradients over this many batches before each update. Default: 1.",
      valueName: "count"))
  var givenAccumulate: Int?

  @Option(
    help: ArgumentHelp(
      "The weight of each class in the training loss: balanced gives all classes the same total weight; cat=2,dog=0.5 sets "
        + "weights by name, 0 or more, and 1 for other classes.",
      valueName: "weights"),
    transform: ClassWeights.init(parsing:))
  var classWeights: ClassWeights?

  @Option(
    name: .customLong("epochs"),
    help: ArgumentHelp(
      "Maximum number of passes over the training rows. Default: as the preset says.", valueName: "count")
  )
  var givenEpochs: Int?

  @Option(
    help: ArgumentHelp(
      "Stop after an epoch, or an iteration, with a training loss below this.", valueName: "number"))
  var untilLoss: Double?

  @Option(
    help: ArgumentHelp(
      "Early stopping: stop after this many epochs without a lower validation loss (without validation rows, training loss), "
        + "and restore the parameters with the lowest. Default: as the preset says if there are validation rows; otherwise no "
        + "early stopping.",
      valueName: "epochs"))
  var patience: Int?

  @OptionGroup var seeding: SeedArguments

  @OptionGroup var threading: ThreadArguments

  var accumulate: Int { givenAccumulate ?? 1 }
  var seed: UInt64 { seeding.seed }
  var threads: Int { threading.threads }

  /// The options about batches and epochs, and whether each is given.
  var ofBatches: [(String, Bool)] {
    [
      ("--batch-size", givenBatchSize != nil), ("--accumulate", givenAccumulate != nil),
      ("--epochs", givenEpochs != nil), ("--patience", patience != nil),
      ("--threads", threading.given != nil),
    ]
  }

  func validate() throws {
    try require("--batch-size", givenBatchSize, "at least 1") { $0 >= 1 }
    try require("--accumulate", accumulate, "at least 1") { $0 >= 1 }
    try require("--epochs", givenEpochs, "at least 1") { $0 >= 1 }
    try require("--until-loss", untilLoss, "a number") { $0.isFinite }
    try require("--patience", patience, "at least 1") { $0 >= 1 }
  }

  /// Replaces the settings of `recipe` that have an option here.
  func apply(to recipe: inout TrainingRecipe) {
    if let givenBatchSize { recipe.batchSize = givenBatchSize }
    if let givenEpochs { recipe.epochs = givenEpochs }
    if let patience { recipe.patience = patience }
  }
}

import ArgumentParser

// Options that several commands have, each with one name, one help and one check. A command says in its discussion what
// is special about one there.

/// The model that a command reads.
struct ModelArguments: ParsableArguments {
  @Argument(help: "A model file, as \"chainrule train --save\" writes it.")
  var model: String
}

extension ArgumentHelp {
  /// The help of --save, which not every command requires.
  static var save: ArgumentHelp { ArgumentHelp("Save the model to this file.", valueName: "file") }
}

/// The form of what a command prints.
struct JSONArguments: ParsableArguments {
  @Flag(help: "Print JSON instead of text.")
  var json = false
}

/// The file for what a command prints otherwise.
struct OutputFileArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Write to this file instead of standard output. An existing file is replaced only when the output is complete.",
      valueName: "file"))
  var output: String?
}

/// The start of all random numbers.
struct SeedArguments: ParsableArguments {
  @Option(
    name: .customLong("seed"),
    help: ArgumentHelp(
      "Seeds all random numbers of the command. The same seed gives the same result. Default: 0.",
      valueName: "number"))
  var given: UInt64?

  var seed: UInt64 { given ?? 0 }
}

/// The threads of training.
struct ThreadArguments: ParsableArguments {
  @Option(
    name: .customLong("threads"),
    help: ArgumentHelp(
      "Threads that compute an update, 1 to 256. The model is the same for any number. Default: 1.",
      valueName: "count"))
  var given: Int?

  var threads: Int { given ?? 1 }

  func validate() throws {
    try require("--threads", threads, "1 to 256") { 1...256 ~= $0 }
  }
}

/// The column that identifies the rows.
struct IDArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "CSV: a column that identifies the rows. It is not a feature, and predictions have its cells in place of the row's "
        + "number.",
      valueName: "column"))
  var id: String?
}

/// The weights of the rows of CSV, and what becomes of the bad ones.
struct RowArguments: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "CSV: a column with the weight of each row in the loss, 0 or more.", valueName: "column"))
  var weights: String?

  @Flag(
    help: """
      CSV: skip bad rows and report their number: a wrong number of cells, an unclosed quote, text in a column of numbers, \
      or in "chainrule evaluate" no target. Default: the first bad row is an error.
      """)
  var skipBadRows = false

  func check(against source: DataSource) throws {
    if weights != nil { try source.require([.csv], for: "--weights") }
    if skipBadRows { try source.require([.csv], for: "--skip-bad-rows") }
  }
}

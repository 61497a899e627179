import ArgumentParser
import Chainrule

/// Adds to the argument parser's messages: the name that a wrong word most likely means, and the form of a
/// value.
enum Usage {
  /// The error for a first word that is not a command; nil for a command.
  static func unknownCommand(in arguments: ArraySlice<String>, commands: [String]) -> ValidationError? {
    guard let first = arguments.first, !first.hasPrefix("-") else { return nil }
    let word = first == "help" ? arguments.dropFirst().first : first
    guard let word, !word.hasPrefix("-"), !(commands + ["help"]).contains(word) else { return nil }
    let hint = nearest(to: word, among: commands).map { "did you mean \($0)?" }
    return ValidationError(
      "there is no command \"\(word)\"; \(hint ?? "the commands are \(commands.joined(separator: ", "))")")
  }

  /// The parser's message with the likely option, or with the expected form of the value.
  static func clarified(_ message: String) -> String {
    var lines = message.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if let match = lines[0].firstMatch(of: /^Error: Unknown option '--?([^']*)'/),
      let option = otherOptions[match.1.lowercased().replacing("_", with: "-")]
    {
      lines[0] = "\(match.0). Did you mean '--\(option)'?"
    } else if let match = lines[0].firstMatch(of: /is invalid for '(--[a-z0-9-]+) <([a-z-]+)>'$/),
      let expected = match.1 == "--seed" ? "a whole number of at least 0" : kinds[String(match.2)]
    {
      lines[0] += "; expected \(expected)"
    }
    return lines.joined(separator: "\n")
  }

  /// The form of a value, by its name in the help.
  private static let kinds = [
    "count": "a whole number", "rows": "a whole number", "epochs": "a whole number",
    "steps": "a whole number",
    "number": "a number", "fraction": "a number", "factor": "a number", "seconds": "a number",
    "character": "one character",
  ]

  /// Other programs' names for our options.
  private static let otherOptions = [
    "lr": "learning-rate", "rate": "learning-rate", "eta": "learning-rate",
    "learning-rate-init": "learning-rate",
    "batch": "batch-size", "bs": "batch-size", "batches": "batch-size", "wd": "weight-decay",
    "l2": "weight-decay", "alpha-l2": "weight-decay", "layers": "hidden", "units": "hidden",
    "hidden-layers": "hidden", "hidden-layer-sizes": "hidden", "act": "activation",
    "iters": "epochs", "max-iter": "epochs", "n-epochs": "epochs", "num-epochs": "epochs",
    "max-epochs": "epochs", "early-stopping": "patience", "n-iter-no-change": "patience", "val": "validation",
    "val-split": "validation", "validation-split": "validation", "test-size": "validation",
    "val-data": "validation-data", "random-state": "seed", "random-seed": "seed", "n-jobs": "threads",
    "jobs": "threads", "workers": "threads", "num-workers": "threads", "dtype": "scalar",
    "precision": "scalar", "clip": "clip-norm", "clip-grad-norm": "clip-norm", "grad-clip": "clip-norm",
    "scheduler": "schedule", "lr-scheduler": "schedule", "warmup": "warm-up", "cv": "folds", "k": "folds",
    "label": "target", "y": "target", "target-column": "target", "class-weight": "class-weights",
    "sample-weight": "weights", "sample-weights": "weights", "output": "save", "out": "save", "model": "save",
    "verbose": "log", "sep": "delimiter", "na-values": "missing-values", "init": "initializer",
    "bias": "no-bias", "optim": "optimizer", "solver": "optimizer", "smoothing": "label-smoothing",
    "normalize": "standardize", "standardise": "standardize", "initialiser": "initializer",
    "normalisation": "normalization",
  ]
}

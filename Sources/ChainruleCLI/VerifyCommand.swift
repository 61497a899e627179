import ArgumentParser
import Chainrule

/// `chainrule verify`: the C core against the pure-Swift reference.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check the C core against the pure-Swift reference.",
    discussion: """
      Draws random networks, losses, optimizers and data, trains each in the C core and in the reference, in \
      float64 and on the same batches, and reports how far apart they come: the worst relative error of a \
      loss, an output, a gradient, a parameter or a prediction. It fails, with exit status 1, above 1e-12 after one step or 1e-9 after ten. \
      CHAINRULE_ISA chooses the set of kernels, as in every command.
      """)

  @Option(help: "How many cases to draw.")
  var cases = 100

  @Option(help: "The seed of the first case; each case has the next.")
  var seed: UInt64 = 1

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    try require("--cases", cases, "at least 1") { $0 >= 1 }
  }

  func run() throws {
    let report = try Verification(cases: cases, seed: seed).run()
    try Output.write(json ? "\(report.json)\n" : report.description)
    if !report.passes { throw ExitCode.failure }
  }
}

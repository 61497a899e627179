import ArgumentParser
import Chainrule

/// `chainrule verify`: the C core against the pure-Swift reference.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check the C core against the pure-Swift reference.",
    discussion: """
      Draws random networks, losses, optimizers and data. Trains each case in the C core and in the reference, in float64 and \
      on the same batches. Reports the largest relative error of a loss, an output, a gradient, a parameter or a \
      prediction. The exit status is 1 if the error is above 1e-12 after one step or above 1e-9 after ten steps. \
      Case k is drawn from --seed + k, counted from 0, so that each can be repeated alone. --json prints one object. \
      The environment variable CHAINRULE_ISA selects the kernel set, as in every command.
      """)

  @Option(help: "Number of random cases, 1 or more.")
  var cases = 100

  @OptionGroup var seeding: SeedArguments
  @OptionGroup var form: JSONArguments

  func validate() throws {
    try require("--cases", cases, "at least 1") { $0 >= 1 }
  }

  func run() throws {
    let report = try Verification(cases: cases, seed: seeding.seed).run()
    try Output.write(form.json ? "\(report.json)\n" : report.description)
    if !report.passes { throw ExitCode.failure }
  }
}

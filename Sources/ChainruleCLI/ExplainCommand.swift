import ArgumentParser
import Chainrule
import ChainruleExplain
import Foundation

/// `chainrule explain`: training steps shown number by number.
struct ExplainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain",
    abstract: "Show training steps number by number.",
    discussion: """
      Runs the training steps of a step file and shows how each number is computed: z, a and δ of each layer, the gradients \
      and the updates, each with its formula and its numbers. --json prints outputs, gradients, losses, \
      parametersAfter and the trace of every batch with all digits.
      """)

  @Argument(
    help: ArgumentHelp("A step file (JSON), or - for standard input.", valueName: "step-file"),
    completion: .file(extensions: ["json"]))
  var file: String

  @OptionGroup var form: JSONArguments

  @Option(help: "Significant digits in the text, 1 to 17.")
  var digits = 6

  @Flag(help: "Show all batches, rows, neurons and weights instead of the first few.")
  var all = false

  @Option(help: "The name of the step to show, for a file with several steps.")
  var example: String?

  func validate() throws {
    try require("--digits", digits, "1 to 17") { 1...17 ~= $0 }
  }

  func run() throws {
    do {
      var explanation = try Explanation(stepFile())
      explanation.name = explanation.name?.escaped(for: .terminal)
      try Output.write(
        form.json ? json(explanation) : TextRendering(digits: digits, showsAll: all)(explanation))
    } catch let error as StepFileError {
      throw Failure(message: "\(source): \(error)", exitCode: .badData)
    } catch ChainruleError.notFinite(_, _, _, let message) {
      throw Failure(message: "\(source): training diverged: \(message)", exitCode: .failure)
    }
  }

  private func json(_ explanation: Explanation) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return String(decoding: try encoder.encode(explanation), as: UTF8.self) + "\n"
  }

  private var source: String { file == "-" ? "standard input" : file }

  private func stepFile() throws -> StepFile {
    let stepFiles = try StepFile.all(json: Data(contents(ofFile: file)))
    guard let example else {
      if stepFiles.count == 1 { return stepFiles[0] }
      throw ValidationError("\(source) has several steps; choose one with --example: \(names(stepFiles))")
    }
    guard let stepFile = stepFiles.first(where: { $0.name == example }) else {
      throw ValidationError("\(source) has no step named \(example); it has \(names(stepFiles))")
    }
    return stepFile
  }

  private func names(_ stepFiles: [StepFile]) -> String {
    let names = stepFiles.compactMap(\.name)
    return names.isEmpty ? "none with a name" : names.joined(separator: ", ")
  }
}

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
      Runs the training steps of a step file and shows how every number comes about: each layer's z, a and δ, \
      the gradients and the updates, with the formula and the numbers put in. With --format json it prints \
      outputs, gradients, losses, parametersAfter, and the trace of every batch, all digits of them.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable { case text, json }

  @Argument(help: "A step file (JSON), or - for standard input.", completion: .file(extensions: ["json"]))
  var file: String

  @Option(help: "text or json.")
  var format = Format.text

  @Option(help: "The significant digits that the text shows, 1 to 17.")
  var digits = 6

  @Flag(help: "Show every batch, row, neuron and weight, not the first few of many.")
  var all = false

  @Option(help: "Which step of a file that holds several.")
  var example: String?

  func validate() throws {
    guard (1...17).contains(digits) else { throw ValidationError("--digits is \(digits); expected 1 to 17") }
  }

  func run() throws {
    do {
      var explanation = try Explanation(stepFile())
      explanation.name = explanation.name?.escaped(for: .terminal)
      switch format {
      case .text: try Output.write(TextRendering(digits: digits, showsAll: all)(explanation))
      case .json: try Output.write(json(explanation))
      }
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
      throw ValidationError("\(source) holds several steps; name one with --example: \(names(stepFiles))")
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

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
      Runs the training steps of a step file and shows how each number is computed: z and a of each layer, the loss, δ and the \
      gradients from the output layer back, and the update, each with its formula and its numbers. --format json prints \
      outputs, gradients, losses, parametersAfter and the trace of every step with all digits.

      Begin with an example: chainrule explain --example 2-2-1. To change it: chainrule explain --example 2-2-1 --print > \
      step.json, edit step.json, chainrule explain step.json. docs/explain.md describes the file.
      """)

  enum Format: String, ExpressibleByArgument, CaseIterable { case text, markdown, html, json }

  @Argument(
    help: ArgumentHelp("A step file (JSON), or - for standard input.", valueName: "step-file"),
    completion: .file(extensions: ["json"]))
  var file: String?

  @Option(help: "The form of the output.")
  var format = Format.text

  @Option(help: "Significant digits of the numbers shown, 1 to 17; json has all.")
  var digits = 6

  @Option(help: "The row of each batch to show in full, counted from 1.")
  var sample = 1

  @Flag(help: "Show all steps, rows, neurons and weights instead of the first few.")
  var all = false

  @Option(help: "The name of the step to show, for a file with several steps.")
  var step: String?

  @Option(
    help: "Show an example that comes with the command instead of a file.",
    completion: .list(StepFileExample.all.map(\.name)))
  var example: String?

  @Flag(help: "List the examples.")
  var examples = false

  @Flag(help: "With --example: print the step file itself.")
  var print = false

  func validate() throws {
    try require("--digits", digits, "1 to 17") { 1...17 ~= $0 }
    try require("--sample", sample, "1 or more") { $0 >= 1 }
    if print && example == nil { throw ValidationError("--print needs --example NAME") }
    if example != nil && file != nil {
      throw ValidationError(
        "--example and a file cannot be combined; --step NAME chooses one of several steps in a file")
    }
    if example != nil && step != nil { throw ValidationError("--example and --step cannot be combined") }
    if !examples && example == nil && file == nil {
      throw ValidationError("expected a step file, or --example NAME; --examples lists the examples")
    }
  }

  func run() throws {
    if examples { return try Output.write(listing) }
    let json = try json()
    if print { return try Output.write(String(decoding: json, as: UTF8.self) + "\n") }
    do {
      let (stepFile, index) = try stepFile(in: json)
      do {
        try explain(stepFile)
      } catch let error as StepFileError {
        throw failure(error, error.position(in: json, step: index))
      }
    } catch let error as StepFileError {
      throw failure(error, error.position(in: json))
    } catch ChainruleError.notFinite(_, _, _, let message) {
      throw Failure(message: "\(source): training diverged: \(message)", exitCode: .failure)
    }
  }

  private func explain(_ stepFile: StepFile) throws {
    var explanation = try Explanation(stepFile)
    let rows = explanation.batches.map(\.x.count).max()!
    guard sample <= rows else {
      throw ValidationError(
        "--sample is \(sample); the largest batch has \(rows) row\(rows == 1 ? "" : "s")")
    }
    let row = sample - 1
    switch format {
    case .text:
      explanation.name = explanation.name?.escaped(for: .terminal)
      try Output.write(TextRendering(digits: digits, showsAll: all, sample: row)(explanation))
    case .markdown:
      explanation.name = explanation.name?.escaped(for: .terminal)
      try Output.write(MarkdownRendering(digits: digits, showsAll: all, sample: row)(explanation))
    case .html: try Output.write(HTMLRendering(digits: digits, sample: row)(explanation))
    case .json:
      explanation.name = explanation.name?.escaped(for: .terminal)
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
      try Output.write(String(decoding: try encoder.encode(explanation), as: UTF8.self) + "\n")
    }
  }

  private func failure(_ error: StepFileError, _ position: (line: Int, column: Int)?) -> Failure {
    let place = position.map { ", line \($0.line), column \($0.column)" } ?? ""
    return Failure(message: "\(source)\(place): \(error)", exitCode: .badData)
  }

  // MARK: What is explained

  private var source: String {
    example.map { "example \($0)" } ?? (file == "-" ? "standard input" : file ?? "")
  }

  private var listing: String {
    let width = StepFileExample.all.map(\.name.count).max()! + 2
    return StepFileExample.all.map {
      $0.name + String(repeating: " ", count: width - $0.name.count) + $0.summary + "\n"
    }.joined()
  }

  private func json() throws -> Data {
    guard let example else { return Data(try contents(ofFile: file!)) }
    guard let found = StepFileExample.all.first(where: { $0.name == example }) else {
      let names = StepFileExample.all.map(\.name)
      let hint =
        nearest(to: example, among: names).map { "did you mean \($0)?" } ?? "expected \(list(names, "or"))"
      throw ValidationError("there is no example \(example.escaped(for: .terminal)); \(hint)")
    }
    return Data(found.text.utf8)
  }

  /// The step to show, and its index in a file with several.
  private func stepFile(in json: Data) throws -> (StepFile, Int?) {
    let stepFiles = try StepFile.all(json: json)
    guard let step else {
      if stepFiles.count == 1 { return (stepFiles[0], nil) }
      throw ValidationError("\(source) has several steps; choose one with --step: \(names(stepFiles))")
    }
    guard let index = stepFiles.firstIndex(where: { $0.name == step }) else {
      throw ValidationError("\(source) has no step named \(step); it has \(names(stepFiles))")
    }
    return (stepFiles[index], stepFiles.count == 1 ? nil : index)
  }

  private func names(_ stepFiles: [StepFile]) -> String {
    let names = stepFiles.compactMap(\.name)
    return names.isEmpty ? "none with a name" : names.joined(separator: ", ").escaped(for: .terminal)
  }
}

import ArgumentParser
import Chainrule
import ChainruleExport
import Foundation

struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a model in a form that other programs use.",
    usage: "chainrule export <model> --to <format> [options]",
    discussion: """
      C: one file in C99, also valid as C++17, without dependencies. It has the weights and one function, which predicts a row \
      with the same bits as the model and allocates no memory. If CHAINRULE_SELF_TEST is defined, the file also has a main \
      function that compares its predictions with the model's. --header-file writes the declaration of the function.

        chainrule export iris.safetensors --to c --name classify_iris --output iris.c --header-file iris.h
        cc -O2 -DCHAINRULE_SELF_TEST iris.c -lm -o iris && ./iris

      ONNX: most runtimes read it. The graph computes predictions, so it has no dropout; it has the names of features, \
      targets and classes.

        chainrule export iris.safetensors --to onnx --output iris.onnx
      """)

  @OptionGroup var modelFile: ModelArguments

  @Option(name: .customLong("to"), help: "The format to write.")
  var format: ExportFormat

  @OptionGroup var destination: OutputFileArguments

  @Option(help: ArgumentHelp("C: the name of the function. Default: predict.", valueName: "identifier"))
  var name: String?

  @Option(
    help: ArgumentHelp(
      "C: also write a header for C and C++ with the declaration of the function to this file.",
      valueName: "file"))
  var headerFile: String?

  private var model: String { modelFile.model }
  private var output: String? { destination.output }

  func run() throws {
    for (option, value) in [("--name", name), ("--header-file", headerFile)]
    where format != .c && value != nil {
      throw ValidationError("\(option) needs --to c")
    }
    try checkFiles(reading: ["<model>": model], writing: ["--output": output, "--header-file": headerFile])
    let model = try savedModel(at: model)
    switch format {
    case .c: try export(c: model)
    case .onnx: try export(onnx: model)
    }
  }

  private func export(onnx model: SavedModel) throws {
    switch model {
    case .float32(let model): try export(onnx: model)
    case .float64(let model): try export(onnx: model)
    }
  }

  private func export<Scalar>(onnx model: Model<Scalar>) throws(ChainruleError) {
    if let output { return try model.exportONNX(to: output) }
    try model.exportONNX { piece throws(ChainruleError) in try Output.write(Data(piece)) }
  }

  private func export(c model: SavedModel) throws {
    try asUsage(of: "--name") { () throws(ChainruleError) in
      switch model {
      case .float32(let model): try export(c: model)
      case .float64(let model): try export(c: model)
      }
    }
  }

  private func export<Scalar>(c model: Model<Scalar>) throws(ChainruleError) {
    let name = name ?? "predict"
    if let output { return try model.exportC(named: name, to: output, header: headerFile) }
    if let headerFile {
      try replaceFile(at: headerFile, with: Data(try model.exportCHeader(named: name).utf8))
    }
    try model.exportC(named: name) { piece throws(ChainruleError) in try Output.write(Data(piece)) }
  }
}

/// A form in which other programs take a model.
enum ExportFormat: String, CaseIterable, ExpressibleByArgument {
  /// A source file in C99.
  case c
  /// A graph of opset 17.
  case onnx
}

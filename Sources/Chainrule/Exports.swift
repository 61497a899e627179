// Data sets, their readers and preprocessing, and what every module needs, such as ``ChainruleError``: a program that
// imports Chainrule has them, too.
@_exported import ChainruleData
